//! Which sets of parameters have to be covered together, enumerated by the verifier itself.

use std::collections::BTreeSet;

use super::super::model::Model;
use super::{MOST_TUPLES, VerifyError};

/// Calls with every set of parameters, ascending, whose tuples are to be covered: every set of
/// `strength` parameters; but one that lies wholly inside groups only if it has the size of the
/// highest strength of these, and then any such. A set inside a larger one to be covered is not
/// counted again.
pub(super) fn each(
    model: &Model,
    strength: usize,
    mut call: impl FnMut(&[usize]) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    let count = model.parameters().len();
    if model.groups().is_empty() {
        let all: Vec<usize> = (0..count).collect();
        return choose(&all, strength, &mut Vec::new(), &mut call);
    }
    let groups: Vec<(BTreeSet<usize>, usize)> = model
        .groups()
        .iter()
        .map(|g| (g.parameters().iter().map(|p| p.index()).collect(), g.strength()))
        .collect();
    let own = |set: &[usize]| {
        let around = groups.iter().filter(|(members, _)| set.iter().all(|p| members.contains(p)));
        around.map(|(_, strength)| *strength).max()
    };
    let mut sets: BTreeSet<Vec<usize>> = BTreeSet::new();
    let mut keep = |set: &[usize]| {
        sets.insert(set.to_vec());
        match sets.len() as u64 * 2 > MOST_TUPLES {
            true => Err(VerifyError::TooManyTuples { most: MOST_TUPLES }),
            false => Ok(()),
        }
    };
    let all: Vec<usize> = (0..count).collect();
    choose(&all, strength, &mut Vec::new(), &mut |set| match own(set) {
        None => keep(set),
        Some(_) => Ok(()),
    })?;
    for (members, strength) in &groups {
        let members: Vec<usize> = members.iter().copied().collect();
        choose(&members, *strength, &mut Vec::new(), &mut |set| match own(set) {
            Some(highest) if highest == *strength => keep(set),
            _ => Ok(()),
        })?;
    }
    let largest = sets.iter().map(Vec::len).max().unwrap_or(0);
    for size in 1..=largest {
        // All sets of this size that stand in a larger one.
        let mut within: BTreeSet<Vec<usize>> = BTreeSet::new();
        for larger in sets.iter().filter(|set| set.len() > size) {
            choose(larger, size, &mut Vec::new(), &mut |part| {
                within.insert(part.to_vec());
                Ok(())
            })?;
        }
        for set in sets.iter().filter(|set| set.len() == size && !within.contains(*set)) {
            call(set)?;
        }
    }
    Ok(())
}

/// Calls with every choice of so many of these.
fn choose(
    from: &[usize],
    count: usize,
    chosen: &mut Vec<usize>,
    call: &mut impl FnMut(&[usize]) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    if count == 0 {
        return call(chosen);
    }
    for (n, &parameter) in from.iter().enumerate() {
        if from.len() - n < count {
            break;
        }
        chosen.push(parameter);
        choose(&from[n + 1..], count - 1, chosen, call)?;
        chosen.pop();
    }
    Ok(())
}
