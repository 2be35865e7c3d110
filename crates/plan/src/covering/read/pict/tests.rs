//! What PICT's form says, and what is not of it.

use super::super::super::Expr;
use super::*;

const MODEL: &str = "\
# a lab
Firmware: bios, uefi (5)
Bus: virtio, sata|ahci, ide, ~floppy
vCPUs: 1, 2, 8
Spare: <vCPUs>, 16
{ Firmware, Bus, vCPUs } @ 3

IF [Firmware] = \"uefi\" THEN [Bus] <> \"ide\";
# a comment
IF [Bus] IN {\"ide\", \"ahci\"} AND NOT [vCPUs] >= 8
  THEN [Spare] > [vCPUs]
  ELSE [Bus] LIKE \"?i*\" OR ([vCPUs] <= 8);
";

fn read(text: &str) -> Result<Model, FormError> {
    read_pict("lab.pict", text)
}

#[test]
fn a_model_is_read() -> Result<(), FormError> {
    let model = read(MODEL)?;
    let names: Vec<&str> = model.parameters().iter().map(|p| p.name()).collect();
    assert_eq!(names, ["Firmware", "Bus", "vCPUs", "Spare"]);
    assert_eq!(model.parameters()[0].values()[1].weight, 5);
    assert_eq!(model.parameters()[1].value("AHCI"), Some(1));
    assert!(model.parameters()[1].values()[3].is_negative());
    assert_eq!(model.parameters()[3].values().len(), 4);
    assert_eq!(model.groups()[0].strength(), 3);
    assert_eq!(model.constraints().len(), 2);
    assert_eq!(model.constraints()[0].text(), "IF [Firmware] = \"uefi\" THEN [Bus] <> \"ide\"");
    let is = |parameter, values: &[usize]| Expr::In { parameter, values: values.to_vec() };
    let not = |e| Expr::Not(Box::new(e));
    assert_eq!(model.constraints()[0].expr(), &Expr::Any(vec![not(is(0, &[1])), not(is(1, &[2]))]));
    Ok(())
}

#[test]
fn what_is_not_of_the_form_is_pointed_at() {
    for (line, column, says) in [
        ("IF [Firmware] = \"efi\" THEN [Bus] = \"ide\";", 17, "it has bios, uefi"),
        ("IF [Firmwear] = \"bios\" THEN [Bus] = \"ide\";", 4, "no parameter"),
        ("IF [Bus] = \"ide\" [Bus] = \"ide\";", 18, "THEN"),
        ("IF [Bus] = \"ide\" THEN [Bus] = \"ide\"", 36, "`;`"),
        ("[vCPUs] > \"many\";", 11, "expected a number"),
        ("[Bus] > [vCPUs];", 9, "numbers and the other text"),
        ("[Bus] IN \"ide\";", 10, "`{`"),
        ("[Bus] IN {\"ide\",};", 17, "a value of the set"),
        ("[Bus] LIKE ide;", 15, "pattern in quotes"),
        ("[Bus = \"ide\";", 1, "no `]`"),
        ("([Bus] = \"ide\";", 15, "`)`"),
        ("[Bus];", 6, "a relation"),
    ] {
        let error = read(&format!("{MODEL}{line}\n")).expect_err(line);
        assert_eq!((error.line(), error.column()), (13, column), "{error}");
        assert!(error.what().contains(says), "{error}");
    }
    for (text, place, says) in [
        ("A: 1,,2", (1, 6), "expected a value"),
        ("A: 1\nA: 2", (2, 1), "there already"),
        ("A: 1, 1", (1, 7), "there already"),
        ("A: x (0)", (1, 7), "1 or more"),
        ("A: <B>", (1, 4), "before this line"),
        ("A: 1\nB: 1\n{ A, C } @ 2", (3, 6), "no parameter"),
        ("A: 1\nB: 1\n{ A, B } @ 3", (3, 12), "1 to 2"),
        ("A: 1\nB: 1\n{ A, B", (3, 7), "`}`"),
        ("what", (1, 1), "expected a parameter"),
        ("A: ~1", (1, 6), "negative"),
    ] {
        let error = read(text).expect_err(text);
        assert_eq!((error.line(), error.column()), place, "{error}");
        assert!(error.what().contains(says), "{error}");
    }
}

#[test]
fn an_error_shows_its_line_with_a_caret() {
    let error = read("A: 1, 2\n[A] = 7;\n").expect_err("7 is no value");
    let expected =
        "lab.pict:2:7: parameter \"A\" has no value \"7\"; it has 1, 2\n2 | [A] = 7;\n  |       ^";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn size_and_nesting_are_bounded() {
    let deep = format!("A: 1, 2\n{}[A] = 1{};", "(".repeat(9000), ")".repeat(9000));
    assert!(read(&deep).expect_err("too deep").what().contains("deeper"));
    let large = "#".repeat(super::super::MOST_BYTES + 1);
    assert!(read(&large).expect_err("too large").what().contains("at most"));
    let many: String = (0..3_000).map(|n| format!("p{n}: 1\n")).collect();
    let error = read(&many).expect_err("too many parameters");
    assert_eq!(error.line(), 2_001, "{error}");
    let wide: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    let pairs = format!("A: {0}\nB: {0}\n[A] < [B];", wide.join(","));
    assert!(read(&pairs).expect_err("too many pairs").what().contains("pairs of values"));
}

#[test]
fn a_model_written_in_the_form_means_the_same() -> Result<(), FormError> {
    let model = read(MODEL)?;
    let again = read(&write_pict(&model))?;
    assert_eq!(again.groups(), model.groups());
    let rows = |model: &Model| {
        let mut all = Vec::new();
        for n in 0..2 * 4 * 3 * 4 {
            let row = [n % 2, n / 2 % 4, n / 8 % 3, n / 24];
            let coverage = super::super::super::verify(model, 1, &[row.to_vec()]);
            all.push(coverage.map(|c| c.broken_rows.is_empty()));
        }
        all
    };
    assert_eq!(rows(&again), rows(&model));
    Ok(())
}

#[test]
fn rows_are_read_whole_and_in_part() -> Result<(), FormError> {
    let model = read(MODEL)?;
    let rows = read_pict_rows("seeds", "bus\tvCPUs\n~floppy\t\nahci\t8\n", &model)?;
    assert_eq!(rows, [[None, Some(3), None, None], [None, Some(1), Some(2), None]]);
    for (text, place) in [("x\n", (1, 1)), ("Bus\nscsi\n", (2, 1)), ("Bus\nide\t1\n", (2, 5))] {
        let error = read_pict_rows("seeds", text, &model).expect_err(text);
        assert_eq!((error.line(), error.column()), place, "{error}");
    }
    Ok(())
}
