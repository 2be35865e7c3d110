//! Which settings can stand together in a row: decided exactly, by a SAT solver.

use batsat::callbacks::Callbacks;
use batsat::clause::Kind;
use batsat::{Lit, Solver as Sat, SolverInterface, SolverOpts, lbool};

use super::clause::{Clause, Clauses, Origin};
use super::space::{Cell, OPEN, Setting, Space};

/// Conflicts after which one question is given up. Models of machines need tens.
const MOST_CONFLICTS: u64 = 500_000;

/// A question was given up as too hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undecided;

/// Counts what the solver learns, one clause a conflict, and stops it at the bound.
#[derive(Default)]
struct Bound {
    conflicts: u64,
}

impl Callbacks for Bound {
    fn on_new_clause(&mut self, _: &[Lit], kind: Kind) {
        if kind == Kind::Learnt {
            self.conflicts += 1;
        }
    }

    fn stop(&self) -> bool {
        self.conflicts >= MOST_CONFLICTS
    }
}

/// The clauses in a solver. Parameters in no clause are free and are not in it.
pub(super) struct Solver {
    sat: Sat<Bound>,
    space: Space,
    /// By literal.
    variables: Vec<Option<Lit>>,
    /// By origin, if reasons are asked for: assumed true, it switches its clauses on. The ones with
    /// the shortest clauses come first.
    switches: Vec<(Origin, Lit)>,
    /// The settings of the last row that was found possible.
    model: Vec<Cell>,
    assumed: Vec<Lit>,
}

impl Solver {
    /// Only for questions of yes or no.
    pub fn new(space: &Space, clauses: &Clauses) -> Self {
        Self::build(space, clauses, false)
    }

    /// For questions of why not.
    pub fn with_reasons(space: &Space, clauses: &Clauses) -> Self {
        Self::build(space, clauses, true)
    }

    fn build(space: &Space, clauses: &Clauses, reasons: bool) -> Self {
        let mut sat = Sat::new(SolverOpts::default(), Bound::default());
        let mut variables = vec![None; space.literals];
        let mut involved = vec![false; space.parameters()];
        for (parameter, _) in clauses.list.iter().flat_map(|clause| &clause.members) {
            involved[*parameter] = true;
        }
        for parameter in (0..space.parameters()).filter(|&p| involved[p]) {
            let lits: Vec<Lit> =
                space.values(parameter).map(|_| Lit::new(sat.new_var_default(), true)).collect();
            for (value, lit) in (0..).zip(&lits) {
                variables[space.literal((parameter, value))] = Some(*lit);
            }
            exactly_one(&mut sat, &lits);
        }
        let mut switches: Vec<(Origin, Lit)> = Vec::new();
        let mut order: Vec<&Clause> = clauses.list.iter().collect();
        order.sort_by_key(|clause| clause.members.len());
        for clause in order {
            let mut lits = Vec::new();
            if reasons {
                let known = switches.iter().find(|(origin, _)| *origin == clause.origin);
                let switch = known.map(|(_, lit)| *lit).unwrap_or_else(|| {
                    let lit = Lit::new(sat.new_var_default(), true);
                    switches.push((clause.origin, lit));
                    lit
                });
                lits.push(!switch);
            }
            for (parameter, set) in &clause.members {
                let missing = set.complement();
                let variable = |value: usize| {
                    let value = Cell::try_from(value).unwrap_or(OPEN);
                    variables[space.literal((*parameter, value))]
                };
                match missing.len() {
                    // "Any other than this one" is one literal, not all the others.
                    1 => lits.extend(missing.iter().filter_map(variable).map(|lit| !lit)),
                    _ => lits.extend(set.iter().filter_map(variable)),
                }
            }
            sat.add_clause_reuse(&mut lits);
        }
        let model = vec![OPEN; space.parameters()];
        Self { sat, space: space.clone(), variables, switches, model, assumed: Vec::new() }
    }

    /// Is this parameter in some clause?
    pub fn involves(&self, parameter: usize) -> bool {
        self.variables[self.space.literal((parameter, 0))].is_some()
    }

    /// Is there a row with all of these settings?
    pub fn possible(
        &mut self,
        settings: impl IntoIterator<Item = Setting>,
    ) -> Result<bool, Undecided> {
        self.assumed.clear();
        let mut last_model_fits = true;
        for setting in settings {
            if let Some(lit) = self.variables[self.space.literal(setting)] {
                last_model_fits &= self.model[setting.0] == setting.1;
                self.assumed.push(lit);
            }
        }
        // A row found before is an answer to many questions that follow. Without any setting to
        // compare, nothing was found yet.
        if last_model_fits && !self.assumed.is_empty() {
            return Ok(true);
        }
        self.assumed.extend(self.switches.iter().map(|(_, lit)| *lit));
        self.solve()
    }

    fn solve(&mut self) -> Result<bool, Undecided> {
        self.sat.cb_mut().conflicts = 0;
        let answer = self.sat.solve_limited(&self.assumed);
        if answer == lbool::UNDEF {
            return Err(Undecided);
        }
        if answer == lbool::FALSE {
            return Ok(false);
        }
        for parameter in 0..self.space.parameters() {
            for value in self.space.values(parameter) {
                let lit = self.variables[self.space.literal((parameter, value))];
                if lit.is_some_and(|lit| self.sat.value_lit(lit) == lbool::TRUE) {
                    self.model[parameter] = value;
                }
            }
        }
        Ok(true)
    }

    /// Is this setting in the row last found?
    pub fn found(&self, (parameter, value): Setting) -> bool {
        self.model[parameter] == value
    }

    /// Gives the open cells of a row that is possible the values of the row last found.
    pub fn complete(&self, row: &mut [Cell]) {
        for (cell, &found) in row.iter_mut().zip(&self.model) {
            if *cell == OPEN {
                *cell = found;
            }
        }
    }

    /// A minimal set of rules that excludes these settings: without any one of them, the rest
    /// allows a row. Empty if the settings are possible. For a solver made with reasons.
    pub fn reason(&mut self, settings: &[Setting]) -> Result<Vec<Origin>, Undecided> {
        let fixed: Vec<Lit> =
            settings.iter().filter_map(|s| self.variables[self.space.literal(*s)]).collect();
        let mut active: Vec<Lit> = self.switches.iter().map(|(_, lit)| *lit).collect();
        self.assumed = fixed.iter().chain(&active).copied().collect();
        if self.solve()? {
            return Ok(Vec::new());
        }
        active.retain(|lit| self.sat.unsat_core_contains_var(lit.var()));
        let mut kept = Vec::new();
        // From the end: the broadest go first, for what is left is read by people.
        while let Some(candidate) = active.pop() {
            self.assumed = fixed.iter().chain(&active).chain(&kept).copied().collect();
            if self.solve()? {
                kept.push(candidate);
            } else {
                active.retain(|lit| self.sat.unsat_core_contains_var(lit.var()));
            }
        }
        let of =
            |lit: &Lit| self.switches.iter().find(|(_, l)| l == lit).map(|(origin, _)| *origin);
        let mut reason: Vec<Origin> = kept.iter().filter_map(of).collect();
        reason.sort_unstable();
        Ok(reason)
    }
}

/// Exactly one of these holds. A ladder of helping variables keeps it linear in their number.
fn exactly_one(sat: &mut Sat<Bound>, lits: &[Lit]) {
    sat.add_clause_reuse(&mut lits.to_vec());
    if lits.len() <= 6 {
        for (n, a) in lits.iter().enumerate() {
            for b in lits.iter().skip(n + 1) {
                sat.add_clause_reuse(&mut vec![!*a, !*b]);
            }
        }
        return;
    }
    let mut before: Option<Lit> = None;
    for lit in lits {
        let so_far = Lit::new(sat.new_var_default(), true);
        sat.add_clause_reuse(&mut vec![!*lit, so_far]);
        if let Some(before) = before {
            sat.add_clause_reuse(&mut vec![!before, so_far]);
            sat.add_clause_reuse(&mut vec![!before, !*lit]);
        }
        before = Some(so_far);
    }
}
