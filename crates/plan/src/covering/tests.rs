//! What generator and verifier promise together, on models made at random and by hand.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A small random model: sizes, constraints as (parameter, value, negated) literals, negatives.
#[derive(Debug, Clone)]
struct Small {
    sizes: Vec<usize>,
    clauses: Vec<Vec<(usize, usize, bool)>>,
    compare: Option<(usize, usize)>,
    negative: Vec<bool>,
    group: Option<(BTreeSet<usize>, usize)>,
    seed: u64,
}

impl Small {
    fn model(&self) -> Model {
        let mut builder = Model::builder();
        let ids: Vec<ParameterId> = self
            .sizes
            .iter()
            .enumerate()
            .map(|(p, size)| {
                let value = |v: usize| match self.negative[p] && v + 1 == *size && v > 0 {
                    true => Value::new(v.to_string()).negative(),
                    false => Value::new(v.to_string()),
                };
                builder.parameter(format!("p{p}"), (0..*size).map(value))
            })
            .collect();
        for clause in &self.clauses {
            let literal = |&(p, v, negated): &(usize, usize, bool)| {
                let p = p % ids.len();
                let holds = ids[p].is((v % self.sizes[p]).to_string());
                if negated { holds.not() } else { holds }
            };
            let any = Condition::Any(clause.iter().map(literal).collect());
            builder.require(format!("{clause:?}"), any);
        }
        if let Some((a, b)) = self.compare {
            let (a, b) = (a % ids.len(), b % ids.len());
            builder.require("compared", ids[a].less_than(ids[b]).or(ids[a].equals(ids[b])));
        }
        if let Some((members, strength)) = &self.group {
            let members: BTreeSet<usize> = members.iter().map(|p| p % ids.len()).collect();
            let strength = (*strength).min(members.len());
            builder.group(members.into_iter().map(|p| ids[p]), strength);
        }
        builder.build().expect("a sound model")
    }

    /// All rows that satisfy the constraints, with how many negative values each has: the oracle.
    fn rows(&self, model: &Model) -> Vec<(Vec<usize>, usize)> {
        let total: usize = self.sizes.iter().product();
        let mut rows = Vec::new();
        for number in 0..total {
            let mut rest = number;
            let row: Vec<usize> = self
                .sizes
                .iter()
                .map(|size| {
                    let value = rest % size;
                    rest /= size;
                    value
                })
                .collect();
            let clause = |clause: &Vec<(usize, usize, bool)>| {
                clause.iter().any(|&(p, v, negated)| {
                    let p = p % row.len();
                    (row[p] == v % self.sizes[p]) != negated
                })
            };
            let compared =
                self.compare.is_none_or(|(a, b)| row[a % row.len()] <= row[b % row.len()]);
            let negatives = row
                .iter()
                .enumerate()
                .filter(|&(p, &v)| model.parameters()[p].values()[v].is_negative())
                .count();
            if compared && self.clauses.iter().all(clause) && negatives <= 1 {
                rows.push((row, negatives));
            }
        }
        rows
    }
}

fn small() -> impl Strategy<Value = Small> {
    let literal = (0..5usize, 0..4usize, prop::bool::weighted(0.8));
    let clauses = prop::collection::vec(prop::collection::vec(literal, 1..4), 0..6);
    let group = prop::option::of((prop::collection::btree_set(0..5usize, 2..4), 1..4usize));
    (
        prop::collection::vec(1..4usize, 3..6),
        clauses,
        prop::option::of((0..5usize, 0..5usize)),
        prop::collection::vec(prop::bool::weighted(0.2), 6),
        group,
        any::<u64>(),
    )
        .prop_map(|(sizes, clauses, compare, negative, group, seed)| Small {
            sizes,
            clauses,
            compare,
            negative,
            group,
            seed,
        })
}

fn cheap<'a>(model: &'a Model, small: &Small) -> Generator<'a> {
    Generator::new(model).seed(small.seed).iterations(20_000)
}

/// Feasible and infeasible tuples of uniform strength, counted from all rows there are.
fn by_force(model: &Model, rows: &[(Vec<usize>, usize)], strength: usize) -> (u64, u64) {
    let (mut feasible, mut infeasible) = (0, 0);
    let sizes: Vec<usize> = model.parameters().iter().map(|p| p.values().len()).collect();
    for mask in 0u32..1 << sizes.len() {
        let set: Vec<usize> = (0..sizes.len()).filter(|p| mask >> p & 1 == 1).collect();
        if set.len() != strength {
            continue;
        }
        let total: usize = set.iter().map(|&p| sizes[p]).product();
        for number in 0..total {
            let mut rest = number;
            let tuple: Vec<(usize, usize)> = set
                .iter()
                .map(|&p| {
                    let value = rest % sizes[p];
                    rest /= sizes[p];
                    (p, value)
                })
                .collect();
            let refused =
                |&&(p, v): &&(usize, usize)| model.parameters()[p].values()[v].is_negative();
            let negatives = tuple.iter().filter(refused).count();
            if negatives > 1 {
                continue;
            }
            let had = rows
                .iter()
                .any(|(row, n)| *n == negatives && tuple.iter().all(|&(p, v)| row[p] == v));
            if had { feasible += 1 } else { infeasible += 1 }
        }
    }
    (feasible, infeasible)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_generated_verifies_and_both_count_as_an_oracle_does(
        small in small(), strength in 1..4usize,
    ) {
        let mut small = small;
        small.group = None;
        let model = small.model();
        let rows = small.rows(&model);
        match cheap(&model, &small).strength(strength).generate() {
            Ok(array) => {
                let coverage = verify(&model, strength, &array.rows)?;
                prop_assert!(coverage.is_complete(), "{}", coverage);
                let (feasible, infeasible) = by_force(&model, &rows, strength);
                prop_assert_eq!((coverage.covered, coverage.infeasible), (feasible, infeasible));
                prop_assert_eq!(array.tuples, feasible + infeasible);
                prop_assert_eq!(array.infeasible_tuples, infeasible);
                prop_assert!(array.rows.len() >= array.lower_bound);
                // Neither says more than is needed, and every reason is said.
                prop_assert!(array.infeasible.iter().all(|i| !i.because.is_empty()));
                prop_assert_eq!(array.infeasible.is_empty(), infeasible == 0);
                prop_assert_eq!(coverage.infeasible_settings.is_empty(), infeasible == 0);
            }
            Err(CoverError::Unsatisfiable { because }) => {
                prop_assert!(!because.is_empty());
                prop_assert!(!rows.iter().any(|(_, negatives)| *negatives == 0));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn groups_are_covered_at_their_own_strength(small in small()) {
        let model = small.model();
        let Ok(array) = cheap(&model, &small).strength(2).generate() else { return Ok(()) };
        let coverage = verify(&model, 2, &array.rows)?;
        prop_assert!(coverage.is_complete(), "{}", coverage);
        prop_assert_eq!(coverage.combinations, array.tuples);
        prop_assert_eq!(coverage.infeasible, array.infeasible_tuples);
    }

    #[test]
    fn the_same_choices_give_the_same_rows(small in small()) {
        let model = small.model();
        let once = cheap(&model, &small).generate();
        prop_assert_eq!(once, cheap(&model, &small).generate());
    }

    #[test]
    fn rows_given_stay_and_come_first(
        small in small(), picks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let model = small.model();
        let rows = small.rows(&model);
        prop_assume!(rows.iter().any(|(_, n)| *n == 0));
        let given: Vec<GivenRow> = picks.iter().map(|(index, mask)| {
            let (row, _) = index.get(&rows);
            let cell = |(p, v): (usize, &usize)| (mask >> p & 1 == 0).then_some(*v);
            row.iter().enumerate().map(cell).collect()
        }).collect();
        let array = cheap(&model, &small).given(given.clone()).generate();
        let array = array.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(verify(&model, 2, &array.rows)?.is_complete());
        // A row with only accepted values chosen may be completed by none if all its completions
        // need a refused one; any other is taken.
        prop_assert_eq!(array.given + array.rejected.len(), given.len());
        let fits = |row: &Vec<usize>, given: &GivenRow| {
            row.iter().zip(given).all(|(v, g)| g.is_none_or(|g| g == *v))
        };
        let taken = given.iter().enumerate();
        let mut taken = taken.filter(|(n, _)| array.rejected.iter().all(|r| r.row != *n));
        let first = &array.rows[..array.given];
        prop_assert!(taken.all(|(_, given)| first.iter().any(|row| fits(row, given))));
    }

    #[test]
    fn a_row_that_breaks_a_constraint_is_reported_by_both(small in small(), number in any::<usize>()) {
        let model = small.model();
        let allowed: BTreeSet<Vec<usize>> = small.rows(&model).into_iter().map(|(row, _)| row).collect();
        let mut rest = number;
        let row: Vec<usize> = small.sizes.iter().map(|size| { let v = rest % size; rest /= size; v }).collect();
        let coverage = verify(&model, 1, std::slice::from_ref(&row))?;
        prop_assert_eq!(coverage.broken_rows.is_empty(), allowed.contains(&row));
        let given: GivenRow = row.iter().copied().map(Some).collect();
        if let Ok(array) = cheap(&model, &small).given([given]).generate() {
            prop_assert_eq!(array.rejected.is_empty(), allowed.contains(&row));
            if let Some(rejected) = array.rejected.first() {
                let mut ours = rejected.because.clone();
                let mut theirs = coverage.broken_rows[0].constraints.clone();
                ours.sort();
                theirs.sort();
                // Two rules in one text are one reason.
                ours.dedup();
                theirs.dedup();
                let rule = |text: &String| text.starts_with("a row holds");
                prop_assert!(ours.iter().any(rule) || ours == theirs, "{:?} {:?}", ours, theirs);
            }
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,80}", n in 0..4usize) {
        let _ = read_pict("m", &text);
        let _ = read_acts("m", &text);
        let model = ["A: 1, 2\nB: x, ~y\n", "A: 1\n", "", "{ A"][n];
        let _ = read_pict("m", &format!("{model}{text}"));
        let _ = read_acts("m", &format!("[Parameter]\nA (int): 1\n[Constraint]\n{text}"));
        let _ = read_casa(("m", &text), Some(("c", &text)));
    }

    #[test]
    fn no_order_of_words_makes_a_reader_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "IF", "THEN", "ELSE", "AND", "OR", "NOT", "[A]", "[B]", "(", ")", "=", "<>", "<", "IN", "{",
            "}", ",", "\"1\"", "1", "2", "-", "LIKE", "\"*\"", ";", "IsNegative", "A", "&&", "||", "!", "=>",
            "\n", "é", "\"", "[", ":", "@", "~", "|",
        ]), 0..25),
    ) {
        let text = words.join(" ");
        if let Ok(model) = read_pict("m", &format!("A: 1, 2\nB: 1, ~3\n{text}")) {
            let _ = Generator::new(&model).strength(1).iterations(100).generate();
        }
        let _ = read_acts("m", &format!("[Parameter]\nA (int): 1, 2\n[Constraint]\n{text}"));
        let _ = read_pict("m", &text);
    }
}

/// The machine that the project validates guests on, in small.
fn machine() -> Model {
    let mut m = Model::builder();
    let firmware = m.parameter("firmware", ["bios", "uefi"]);
    let bus = m.parameter("bus", ["virtio", "sata", "ide", "nvme"]);
    let nic = m.parameter("nic", ["virtio", "e1000", "rtl8139"]);
    let vcpus = m.parameter("vcpus", ["1", "2", "8"]);
    m.parameter("format", ["raw", "qcow2"]);
    m.forbid("UEFI boots from no IDE disk", firmware.is("uefi").and(bus.is("ide")));
    m.forbid("BIOS boots from no NVMe disk", firmware.is("bios").and(bus.is("nvme")));
    m.require("an rtl8139 is in small machines", nic.is("rtl8139").implies(vcpus.at_most(2)));
    m.build().expect("a sound model")
}

fn covered() -> (Model, CoveringArray) {
    let model = machine();
    let array = Generator::new(&model).strength(2).iterations(200_000).generate();
    (model, array.expect("an array"))
}

#[test]
fn the_verifier_misses_a_row_that_was_taken_away() {
    let (model, array) = covered();
    assert_eq!(array.rows.len(), array.lower_bound, "as few as can be");
    for n in 0..array.rows.len() {
        let mut rows = array.rows.clone();
        rows.remove(n);
        let coverage = verify(&model, 2, &rows).expect("counted");
        assert!(coverage.missing > 0 && !coverage.is_complete(), "without row {n}: {coverage}");
        assert_eq!(coverage.missing, coverage.missing_settings.len() as u64);
    }
}

#[test]
fn the_verifier_sees_a_value_that_was_changed() {
    let (model, array) = covered();
    let all = verify(&model, 2, &array.rows).expect("counted").covered;
    let mut noticed = 0;
    for n in 0..array.rows.len() {
        let mut rows = array.rows.clone();
        let bus = &mut rows[n][1];
        *bus = (*bus + 1) % 4;
        let coverage = verify(&model, 2, &rows).expect("counted");
        noticed += usize::from(!coverage.is_complete());
        assert_eq!(coverage.covered + coverage.missing, all);
    }
    // A change is harmless only where other rows cover the same.
    assert!(noticed * 10 >= array.rows.len() * 9, "{noticed} of {}", array.rows.len());
}

#[test]
fn the_verifier_names_the_constraint_that_a_row_breaks_and_counts_the_row_for_nothing() {
    let (model, _) = covered();
    let coverage = verify(&model, 2, &[vec![1, 2, 0, 0, 0]]).expect("counted");
    assert_eq!(coverage.covered, 0);
    assert_eq!(coverage.broken_rows[0].constraints, ["UEFI boots from no IDE disk"]);
}

#[test]
fn what_is_infeasible_is_listed_with_its_reason() {
    let (model, array) = covered();
    let coverage = verify(&model, 2, &array.rows).expect("counted");
    let text = |list: &[Infeasible]| -> BTreeSet<String> {
        let settings =
            |i: &Infeasible| i.settings.iter().map(ToString::to_string).collect::<Vec<_>>();
        list.iter()
            .map(|i| format!("{}: {}", settings(i).join(" "), i.because.join("; ")))
            .collect()
    };
    let expected = [
        "firmware=bios bus=nvme: BIOS boots from no NVMe disk",
        "firmware=uefi bus=ide: UEFI boots from no IDE disk",
        "nic=rtl8139 vcpus=8: an rtl8139 is in small machines",
    ];
    assert_eq!(text(&array.infeasible), expected.map(String::from).into());
    assert_eq!(text(&coverage.infeasible_settings), expected.map(String::from).into());
}

#[test]
fn a_reason_is_found_where_constraints_exclude_only_together() {
    let mut m = Model::builder();
    let (a, b, c) =
        (m.parameter("a", ["0", "1"]), m.parameter("b", ["0", "1"]), m.parameter("c", ["0", "1"]));
    m.require("a brings b", a.is("1").implies(b.is("1")));
    m.require("b brings c", b.is("1").implies(c.is("1")));
    m.require("unrelated", a.is("0").or(b.is("1")).or(c.is("1")));
    let model = m.build().expect("a sound model");
    let array = Generator::new(&model).iterations(0).generate().expect("an array");
    let chained = array
        .infeasible
        .iter()
        .find(|i| i.settings[0].parameter == "a" && i.settings[1].parameter == "c");
    assert_eq!(chained.map(|i| i.because.len()), Some(2));
}

#[test]
fn constraints_without_a_row_are_named() {
    let mut m = Model::builder();
    let a = m.parameter("a", ["0", "1"]);
    m.parameter("b", ["0", "1"]);
    m.require("never 0", a.is_not("0")).require("never 1", a.is_not("1"));
    let model = m.build().expect("a sound model");
    let error = Generator::new(&model).generate().expect_err("no row");
    let CoverError::Unsatisfiable { mut because } = error else { panic!("{error}") };
    because.sort();
    assert_eq!(because, ["never 0", "never 1"]);
}

#[test]
fn weights_decide_what_coverage_leaves_open() {
    let mut m = Model::builder();
    m.parameter("a", (0..9).map(|n| n.to_string()));
    m.parameter("b", (0..9).map(|n| n.to_string()));
    m.parameter("c", [Value::new("rare"), Value::new("usual").weight(50)]);
    let model = m.build().expect("a sound model");
    let array = Generator::new(&model).iterations(100_000).generate().expect("an array");
    let usual = array.rows.iter().filter(|row| row[2] == 1).count();
    assert_eq!(array.rows.len(), 81);
    // Each of the 18 values of the others needs one rare row, and nine rows can do for all.
    assert!(usual >= 65, "{usual} of 81");
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let model = machine();
    let strength = |t| Generator::new(&model).strength(t).generate().expect_err("refused");
    assert_eq!(strength(0), CoverError::Strength { strength: 0, parameters: 5 });
    assert_eq!(strength(6), CoverError::Strength { strength: 6, parameters: 5 });
    let given = Generator::new(&model).given([vec![None, Some(9), None, None, None]]).generate();
    assert_eq!(given, Err(CoverError::GivenRow { row: 0, parameters: 5 }));
    assert!(matches!(verify(&model, 2, &[vec![0; 4]]), Err(VerifyError::Row { row: 0, .. })));
    let mut large = Model::builder();
    (0..400).for_each(|n| {
        large.parameter(format!("p{n}"), ["0", "1", "2"]);
    });
    let large = large.build().expect("a sound model");
    let error = Generator::new(&large).strength(4).generate().expect_err("too many");
    assert!(matches!(error, CoverError::TooManyTuples { .. }), "{error}");
}

#[test]
fn results_survive_their_file_form() {
    let (model, array) = covered();
    let coverage = verify(&model, 2, &array.rows).expect("counted");
    let text = serde_json::to_string(&(&array, &coverage)).expect("written");
    let read: (CoveringArray, Coverage) = serde_json::from_str(&text).expect("read");
    assert_eq!(read, (array, coverage));
}

#[test]
fn the_first_rows_cover_the_most() {
    let (model, array) = covered();
    let covered = |n: usize| verify(&model, 2, &array.rows[..n]).expect("counted").covered;
    let new: Vec<u64> = (0..array.rows.len()).map(|n| covered(n + 1) - covered(n)).collect();
    assert!(new.is_sorted_by(|a, b| a >= b), "{new:?}");
}
