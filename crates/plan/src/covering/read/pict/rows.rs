//! Files of rows as PICT writes them, and as it reads them for seeding.

use super::super::super::GivenRow;
use super::super::super::model::Model;
use super::super::formula::no_value;
use hospitium_model::FormError;

use super::super::text::Source;

/// Reads rows separated by tabs under a line with the parameters' names. A cell may be empty, and
/// a parameter may be left out: then the row is one in part. `~` before a negative value is
/// allowed and not needed.
///
/// # Errors
/// The first parameter or value that is not the model's, or a line with more cells than names.
pub fn read_pict_rows(file: &str, text: &str, model: &Model) -> Result<Vec<GivenRow>, FormError> {
    let source = Source::new(file, text)?;
    let mut lines = source.text.lines().filter(|line| !line.trim().is_empty());
    let Some(header) = lines.next() else { return Ok(Vec::new()) };
    let mut columns = Vec::new();
    for cell in header.split('\t') {
        let missing =
            || source.error_in(cell, format!("the model has no parameter {:?}", cell.trim()));
        let id = model.parameter(cell.trim()).ok_or_else(missing)?;
        if columns.contains(&id) {
            return Err(source.error_in(cell, "this parameter has a column already"));
        }
        columns.push(id);
    }
    let mut rows = Vec::new();
    for line in lines {
        let mut row: GivenRow = vec![None; model.parameters().len()];
        for (n, cell) in line.split('\t').enumerate() {
            let more =
                || source.error_in(cell, "this line has more cells than the first has names");
            let id = columns.get(n).ok_or_else(more)?;
            let parameter = &model.parameters()[id.index()];
            let name = cell.trim();
            if name.is_empty() {
                continue;
            }
            let place = parameter.value(name);
            let place = place.or_else(|| parameter.value(name.strip_prefix('~')?));
            let missing = || source.error_in(cell, no_value(parameter, name));
            row[id.index()] = Some(place.ok_or_else(missing)?);
        }
        rows.push(row);
    }
    Ok(rows)
}
