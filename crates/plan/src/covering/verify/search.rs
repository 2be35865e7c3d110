//! Exhaustive backtracking over the constraints as they were parsed, with forward checking.

use super::super::condition::Expr;
use super::super::model::Model;
use super::Place;

/// Values tried for one question at most.
const MOST_STEPS: u64 = 20_000_000;

/// A question was given up after so many steps.
#[derive(Debug)]
pub(super) struct TooHard(pub u64);

/// Does this hold for the row?
pub(super) fn holds(expr: &Expr, row: &[usize]) -> bool {
    match expr {
        Expr::In { parameter, values } => values.contains(&row[*parameter]),
        Expr::Pairs { parameters: [a, b], values } => values.contains(&[row[*a], row[*b]]),
        Expr::All(list) => list.iter().all(|part| holds(part, row)),
        Expr::Any(list) => list.iter().any(|part| holds(part, row)),
        Expr::Not(inner) => !holds(inner, row),
    }
}

/// Does this hold, whatever the cells become that are not chosen? None if that depends on them,
/// or if it cannot be told from the parts alone.
fn known(expr: &Expr, row: &[Option<usize>]) -> Option<bool> {
    match expr {
        Expr::In { parameter, values } => row[*parameter].map(|v| values.binary_search(&v).is_ok()),
        Expr::Pairs { parameters: [a, b], values } => match (row[*a], row[*b]) {
            (Some(x), Some(y)) => Some(values.binary_search(&[x, y]).is_ok()),
            _ => None,
        },
        Expr::All(list) => {
            let mut all = Some(true);
            for part in list {
                match known(part, row) {
                    Some(false) => return Some(false),
                    Some(true) => {}
                    None => all = None,
                }
            }
            all
        }
        Expr::Any(list) => {
            let mut any = Some(false);
            for part in list {
                match known(part, row) {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => any = None,
                }
            }
            any
        }
        Expr::Not(inner) => known(inner, row).map(|holds| !holds),
    }
}

fn scope(expr: &Expr, into: &mut Vec<usize>) {
    match expr {
        Expr::In { parameter, .. } => into.push(*parameter),
        Expr::Pairs { parameters, .. } => into.extend(parameters),
        Expr::All(list) | Expr::Any(list) => list.iter().for_each(|part| scope(part, into)),
        Expr::Not(inner) => scope(inner, into),
    }
}

/// The constraints, ready to be searched.
pub(super) struct Search<'a> {
    constraints: Vec<&'a Expr>,
    /// By constraint: its parameters.
    scopes: Vec<Vec<usize>>,
    /// By parameter: constraints over it.
    over: Vec<Vec<usize>>,
    /// By parameter and value: may it stand in a row without a refused value?
    ordinary: Vec<Vec<bool>>,
    row: Vec<Option<usize>>,
    domains: Vec<Vec<bool>>,
    active: Vec<bool>,
    steps: u64,
}

impl<'a> Search<'a> {
    pub fn new(model: &'a Model) -> Self {
        let constraints: Vec<&Expr> = model.constraints().iter().map(|c| c.expr()).collect();
        let mut over = vec![Vec::new(); model.parameters().len()];
        let mut scopes = Vec::new();
        for (number, expr) in constraints.iter().enumerate() {
            let mut parameters = Vec::new();
            scope(expr, &mut parameters);
            parameters.sort_unstable();
            parameters.dedup();
            parameters.iter().for_each(|&p| over[p].push(number));
            scopes.push(parameters);
        }
        let ordinary: Vec<Vec<bool>> = model
            .parameters()
            .iter()
            .map(|p| p.values().iter().map(|v| !v.is_negative()).collect())
            .collect();
        let row = vec![None; ordinary.len()];
        let active = Vec::new();
        Self { constraints, scopes, over, domains: Vec::new(), ordinary, row, active, steps: 0 }
    }

    /// Places of the constraints, those over the most parameters first.
    pub fn broadest_first(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.scopes.len()).collect();
        order.sort_by_key(|&constraint| std::cmp::Reverse(self.scopes[constraint].len()));
        order
    }

    /// Is there a row with these settings that satisfies the active constraints? If `refused`, the
    /// row has one refused value: that of the settings, or any if none of them is one.
    pub fn possible(
        &mut self,
        settings: &[Place],
        active: &[bool],
        refused: bool,
    ) -> Result<bool, TooHard> {
        debug_assert!(!refused || settings.iter().any(|&(p, v)| !self.ordinary[p][v]));
        self.steps = 0;
        self.active = active.to_vec();
        self.row.fill(None);
        self.domains.clone_from(&self.ordinary);
        settings.iter().for_each(|&(p, v)| self.row[p] = Some(v));
        for constraint in 0..self.constraints.len() {
            if self.active[constraint] && !self.check(constraint, &mut Vec::new()) {
                return Ok(false);
            }
        }
        self.extend()
    }

    /// Looks at one constraint: false if it cannot hold any more. If one cell decides it, values
    /// that break it leave that cell's domain, and are noted in `removed`.
    fn check(&mut self, constraint: usize, removed: &mut Vec<Place>) -> bool {
        let expr = self.constraints[constraint];
        let mut open = self.scopes[constraint].iter().copied().filter(|&p| self.row[p].is_none());
        let (first, second) = (open.next(), open.next());
        let Some(parameter) = first else { return known(expr, &self.row) == Some(true) };
        if second.is_some() {
            return known(expr, &self.row) != Some(false);
        }
        let mut left = false;
        for value in 0..self.domains[parameter].len() {
            if !self.domains[parameter][value] {
                continue;
            }
            self.row[parameter] = Some(value);
            if known(expr, &self.row) == Some(true) {
                left = true;
            } else {
                self.domains[parameter][value] = false;
                removed.push((parameter, value));
            }
        }
        self.row[parameter] = None;
        left
    }

    /// Chooses the open cell with the fewest values left of those that some constraint still
    /// depends on, and tries them all.
    fn extend(&mut self) -> Result<bool, TooHard> {
        let mut next: Option<(usize, usize)> = None;
        let mut seen = vec![false; self.row.len()];
        for constraint in 0..self.constraints.len() {
            if !self.active[constraint] || known(self.constraints[constraint], &self.row).is_some()
            {
                continue;
            }
            for &parameter in &self.scopes[constraint] {
                if self.row[parameter].is_none() && !std::mem::replace(&mut seen[parameter], true) {
                    let left = self.domains[parameter].iter().filter(|left| **left).count();
                    // Of equals, the one next to most of what is chosen comes first by its order.
                    if next.is_none_or(|(least, _)| left < least) {
                        next = Some((left, parameter));
                    }
                }
            }
        }
        let Some((_, parameter)) = next else { return Ok(true) };
        for value in 0..self.domains[parameter].len() {
            if !self.domains[parameter][value] {
                continue;
            }
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Err(TooHard(MOST_STEPS));
            }
            self.row[parameter] = Some(value);
            let mut removed = Vec::new();
            let over = std::mem::take(&mut self.over[parameter]);
            let sound = over.iter().all(|&c| !self.active[c] || self.check(c, &mut removed));
            self.over[parameter] = over;
            if sound && self.extend()? {
                return Ok(true);
            }
            removed.into_iter().for_each(|(p, v)| self.domains[p][v] = true);
            self.row[parameter] = None;
        }
        Ok(false)
    }
}
