//! Constraints as clauses: in every row at least one member of each clause holds.

use std::collections::HashSet;

use super::condition::Expr;
use super::model::Model;
use super::space::{Cell, OPEN, Set, Setting, Space};

/// Clauses that one constraint may come to.
const MOST_CLAUSES: usize = 20_000;

/// Which rows are made: all of them if no value is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Rows without a negative value.
    Accepted,
    /// Rows with exactly one.
    Refused,
}

/// Where a clause comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The constraint at this place in the model.
    Constraint(usize),
    /// The rule that a row has at most one negative value.
    OneNegative,
}

/// Parameters, each with the values that satisfy the clause, ascending by parameter.
pub(super) type Members = Vec<(usize, Set)>;

#[derive(Debug)]
pub(super) struct Clause {
    pub members: Members,
    pub origin: Origin,
}

/// All clauses of a phase.
#[derive(Debug)]
pub(super) struct Clauses {
    pub list: Vec<Clause>,
    /// By literal: clauses with this parameter as a member that this value does not satisfy.
    unsatisfied_by: Vec<Vec<u32>>,
    space: Space,
}

/// A constraint whose clauses are more than are taken: its place.
#[derive(Debug)]
pub(super) struct TooBroad(pub usize);

impl Clauses {
    pub fn of(model: &Model, space: &Space, phase: Phase) -> Result<Self, TooBroad> {
        let mut list = Vec::new();
        for (place, constraint) in model.constraints().iter().enumerate() {
            let all = normal_form(constraint.expr(), true, space).ok_or(TooBroad(place))?;
            let origin = Origin::Constraint(place);
            list.extend(all.into_iter().map(|members| Clause { members, origin }));
        }
        let rules = negative_rules(model, space, phase);
        list.extend(
            rules.into_iter().map(|members| Clause { members, origin: Origin::OneNegative }),
        );
        let mut unsatisfied_by = vec![Vec::new(); space.literals];
        for (number, clause) in (0u32..).zip(&list) {
            for (parameter, set) in &clause.members {
                for value in space.values(*parameter).filter(|&value| !set.has(value)) {
                    unsatisfied_by[space.literal((*parameter, value))].push(number);
                }
            }
        }
        Ok(Self { list, unsatisfied_by, space: space.clone() })
    }

    /// How many clauses have to be looked at for this setting.
    pub fn with(&self, setting: Setting) -> usize {
        self.unsatisfied_by[self.space.literal(setting)].len()
    }

    /// Does some clause with this setting fail in the row, the setting taken as part of it?
    /// Open cells may still satisfy a clause.
    pub fn broken_by(&self, row: &[Cell], setting: Setting) -> bool {
        self.unsatisfied_by[self.space.literal(setting)].iter().any(|&number| {
            self.list[number as usize].members.iter().all(|(parameter, set)| {
                let cell = row[*parameter];
                *parameter == setting.0 || (cell != OPEN && !set.has(cell))
            })
        })
    }

    /// Where the clauses come from that the row breaks, each once.
    pub fn broken(&self, row: &[Cell]) -> Vec<Origin> {
        let failed = |clause: &&Clause| {
            clause.members.iter().all(|(p, set)| row[*p] != OPEN && !set.has(row[*p]))
        };
        let mut origins: Vec<_> = self.list.iter().filter(failed).map(|c| c.origin).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }
}

fn negative_rules(model: &Model, space: &Space, phase: Phase) -> Vec<Members> {
    let accepted: Members = model
        .parameters()
        .iter()
        .enumerate()
        .filter(|(_, p)| p.values().iter().any(|v| v.is_negative()))
        .map(|(place, p)| {
            let values = p.values().iter().enumerate().filter(|(_, v)| !v.is_negative());
            (place, Set::of(space.sizes[place], values.map(|(v, _)| v)))
        })
        .collect();
    match phase {
        Phase::Accepted => accepted.into_iter().map(|member| vec![member]).collect(),
        Phase::Refused => {
            let mut rules = vec![accepted.iter().map(|(p, set)| (*p, set.complement())).collect()];
            for (n, a) in accepted.iter().enumerate() {
                rules.extend(accepted.iter().skip(n + 1).map(|b| vec![a.clone(), b.clone()]));
            }
            rules
        }
    }
}

/// The conjunctive normal form of an expression, or of its opposite; none if it is too large.
fn normal_form(expr: &Expr, wanted: bool, space: &Space) -> Option<Vec<Members>> {
    match expr {
        Expr::Not(inner) => normal_form(inner, !wanted, space),
        Expr::In { parameter, values } => {
            let set = Set::of(space.sizes[*parameter], values.iter().copied());
            let set = if wanted { set } else { set.complement() };
            Some(clause(vec![(*parameter, set)]).into_iter().collect())
        }
        Expr::Pairs { parameters: [a, b], values } => {
            let mut partners = vec![Set::empty(space.sizes[*b]); space.sizes[*a]];
            for [x, y] in values {
                partners[*x].add(&Set::of(space.sizes[*b], [*y]));
            }
            let one = |(value, set): (usize, Set)| {
                let set = if wanted { set } else { set.complement() };
                let other = Set::of(space.sizes[*a], [value]).complement();
                clause(vec![(*a, other), (*b, set)])
            };
            Some(partners.into_iter().enumerate().filter_map(one).collect())
        }
        Expr::All(list) | Expr::Any(list) => {
            let conjunction = matches!(expr, Expr::All(_)) == wanted;
            let parts = list.iter().map(|part| normal_form(part, wanted, space));
            if conjunction {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(part?);
                    if all.len() > MOST_CLAUSES {
                        return None;
                    }
                }
                return Some(all);
            }
            let mut product = vec![Members::new()];
            for part in parts {
                let part = part?;
                if product.len().saturating_mul(part.len()) > 4 * MOST_CLAUSES {
                    return None;
                }
                let pairs = product.iter().flat_map(|a| part.iter().map(move |b| (a, b)));
                let distinct: HashSet<Members> = pairs
                    .filter_map(|(a, b)| clause(a.iter().chain(b).cloned().collect()))
                    .collect();
                if distinct.len() > MOST_CLAUSES {
                    return None;
                }
                product = distinct.into_iter().collect();
                // A hash set has no order of its own, and rows must not depend on one.
                product.sort_unstable();
            }
            Some(product)
        }
    }
}

/// One clause with each parameter once; none if it always holds. One without members never does.
fn clause(mut members: Members) -> Option<Members> {
    members.sort_by_key(|(parameter, _)| *parameter);
    let mut merged: Members = Vec::with_capacity(members.len());
    for (parameter, set) in members {
        match merged.last_mut() {
            Some((last, union)) if *last == parameter => union.add(&set),
            _ => merged.push((parameter, set)),
        }
    }
    if merged.iter().any(|(_, set)| set.is_full()) {
        return None;
    }
    merged.retain(|(_, set)| set.len() > 0);
    Some(merged)
}
