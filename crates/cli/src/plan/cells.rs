//! `hospitium agreement cells`: the machine configurations to run for what is owed and can be run here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hospitium_catalog::Catalog;
use hospitium_model::{
    Agreement, Answer, Bus, Capability, ChannelKind, Digest, Firmware, GuestFacts, GuestKind,
    MACHINE_PARAMETERS, MachineRow, NicModel,
};
use hospitium_plan::cells::{
    CELL_PLAN_FORMAT, CellPlan, DoneRow, PairPlan, PlannedRow, PlannedSide, Rows, rows, space,
};
use hospitium_plan::obligation::{Obligation, Plan, State};
use hospitium_products::{Arch, MachineOption, Product, ProductId, Products};
use hospitium_run::{Places, PlannedGuest, PlannedHost};

use super::{CellsArguments, Owed};
use crate::certify::known;
use crate::definition::GuestDefinition;
use crate::failure::{End, Usage};
use crate::open::{Wishes, guests, host};
use crate::out::{note, out};
use crate::places;
use crate::view::{Paint, safe};

/// A side that is here, with the product that it is.
struct Here<T> {
    side: T,
    product: ProductId,
}

/// The cells to run for what is owed, shown and written.
pub async fn cells(arguments: &CellsArguments, owed: &Owed, cache: Option<PathBuf>) -> Result<End> {
    let Owed { path: agreement, deal, products, catalog, plan } = owed;
    let (_, places) = places::open_cache(cache)?;
    let guests = guests_here(arguments, &places, products)?;
    let hosts = hosts_here(arguments, &places, products).await?;
    let strength = arguments.strength.unwrap_or(deal.validation.strength).max(1);
    if strength < deal.validation.strength {
        note!(
            "note: {} promises strength {}; cells of strength {strength} do not fulfil that",
            safe(&deal.id),
            deal.validation.strength
        );
    }
    let bytes =
        std::fs::read(agreement).with_context(|| format!("cannot read {}", agreement.display()))?;
    let mut made = CellPlan {
        format: CELL_PLAN_FORMAT,
        agreement: deal.id.clone(),
        agreement_digest: Digest::of(&bytes),
        as_of: plan.as_of,
        pairs: Vec::new(),
    };
    let (mut shown, mut absent) = (Vec::new(), Vec::new());
    for owed in plan.obligations.iter().filter(|owed| concerns(&owed.state)) {
        let guest = guests.iter().find(|here| here.product == owed.guest);
        let host = hosts.iter().find(|here| here.product == owed.host);
        let (Some(guest), Some(host)) = (guest, host) else {
            absent.push((owed, guest.is_none(), host.is_none()));
            continue;
        };
        let pair = Pair { owed, guest: &guest.side, host: &host.side, deal, products };
        let (planned, found) = pair.plan(strength, catalog, plan.as_of).await?;
        shown.push((planned.clone(), found));
        if !planned.rows.is_empty() {
            made.pairs.push(planned);
        }
    }
    if let Some(path) = &arguments.out {
        let text = made.to_json().context("the plan cannot be written")?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.owed.json {
        out!("{}", serde_json::to_string_pretty(&made).context("cannot write JSON")?);
        return Ok(End::Good);
    }
    show(&shown, deal, plan);
    if !absent.is_empty() {
        out!("");
    }
    for (owed, guest, host) in &absent {
        let missing = match (guest, host) {
            (true, true) => {
                format!("no guest here is {} and no host {}", owed.guest_name, owed.host_name)
            }
            (true, false) => {
                format!("no guest here is {}; name it behind the agreement", owed.guest_name)
            }
            _ => format!("no host here is {}; name one with --on", owed.host_name),
        };
        out!("not here  {}: {}", safe(&owed.id), safe(&missing));
    }
    let count: usize = made.pairs.iter().map(|pair| pair.rows.len()).sum();
    match &arguments.out {
        _ if count == 0 => out!("\nnothing to run"),
        Some(path) => out!("\n{count} cells; run them: hospitium run --plan {}", path.display()),
        None => out!("\n{count} cells; --out plan.json writes them for `hospitium run --plan`"),
    }
    Ok(End::Good)
}

/// Whether cells can be run for an obligation in this state.
const fn concerns(state: &State) -> bool {
    !matches!(state, State::Planned { .. } | State::Over { .. })
}

fn guests_here(
    arguments: &CellsArguments,
    places: &Places,
    products: &Products,
) -> Result<Vec<Here<PlannedGuest>>> {
    let mut here = Vec::new();
    for side in guests(&arguments.old.with(&arguments.guests), places, &Wishes::default())? {
        let facts = side.guest.facts();
        match known::guest_product(products, facts, None) {
            Ok(product) => here.push(Here { product: product.id.clone(), side }),
            Err(error) => {
                note!("note: {} is left out: {}", safe(&facts.name), safe(&error.to_string()))
            }
        }
    }
    Ok(here)
}

async fn hosts_here(
    arguments: &CellsArguments,
    places: &Places,
    products: &Products,
) -> Result<Vec<Here<PlannedHost>>> {
    let mut here = Vec::new();
    for what in &arguments.on {
        let side = host(what, places, arguments.accelerator).await?;
        let facts = side.host.facts();
        match known::host_product(products, facts, None) {
            Ok(product) => here.push(Here { product: product.id.clone(), side }),
            Err(error) => {
                note!("note: {} is left out: {}", safe(&facts.name), safe(&error.to_string()))
            }
        }
    }
    if here.is_empty() {
        return Err(Usage::error(
            "no host here is a known product",
            "name one with --on; `hospitium host list` shows what is here",
        ));
    }
    Ok(here)
}

/// An obligation with both sides here.
struct Pair<'a> {
    owed: &'a Obligation,
    guest: &'a PlannedGuest,
    host: &'a PlannedHost,
    deal: &'a Agreement,
    products: &'a Products,
}

impl Pair<'_> {
    async fn plan(
        &self,
        strength: u32,
        catalog: &Catalog,
        as_of: jiff::civil::Date,
    ) -> Result<(PairPlan, Rows)> {
        let (guest, host) = (self.guest.guest.facts(), self.host.host.facts());
        let sides = self.sides()?;
        let definition = self.definition();
        let cannot =
            |row: &MachineRow, what: &str| self.cannot(sides, definition.as_ref(), row, what);
        let space = space(&self.deal.validation.machines, &host.kind, &cannot)?;
        let mut earlier: Vec<DoneRow> = Vec::new();
        catalog
            .each(as_of, |line| {
                let same = line.stands == "valid"
                    && line.record.party == self.owed.party
                    && line.record.arch == self.owed.arch;
                if let Some(tried) = line.record.detail.tried.filter(|_| same)
                    && tried.guest == guest.digest
                    && tried.vmm == Some(host.vmm)
                    && let Ok(record) = line.record.digest.parse()
                    && !earlier.iter().any(|done| done.machine == tried.row)
                {
                    earlier.push(DoneRow { machine: tried.row, record });
                }
                Ok(())
            })
            .await
            .context("the records cannot be read")?;
        let given: Vec<MachineRow> = earlier.iter().map(|done| done.machine).collect();
        let doing = || format!("no cells are found for {}", self.owed.id);
        let found = rows(&space, strength as usize, &given).with_context(doing)?;
        let done = found.given.iter().filter_map(|at| earlier.get(*at).cloned()).collect();
        let side = |origin: &str, name: &str, product: &ProductId, digest| PlannedSide {
            origin: origin.to_owned(),
            name: name.to_owned(),
            product: product.to_string(),
            digest,
        };
        let planned = PairPlan {
            obligation: self.owed.id.clone(),
            guest: side(&self.guest.origin, &guest.name, &self.owed.guest, guest.digest),
            host: side(&self.host.origin, &host.name, &self.owed.host, host.vmm),
            strength,
            space,
            done,
            rows: found.rows.iter().map(|machine| PlannedRow { machine: *machine }).collect(),
        };
        Ok((planned, found))
    }

    fn sides(&self) -> Result<(&Product, &Product)> {
        let get = |id: &ProductId| {
            self.products.get(id).with_context(|| format!("the product {id} is not known any more"))
        };
        Ok((get(&self.owed.guest)?, get(&self.owed.host)?))
    }

    fn definition(&self) -> Option<GuestDefinition> {
        let path = Path::new(&self.guest.origin);
        let is_definition = path.extension().is_some_and(|extension| extension == "toml");
        is_definition.then(|| GuestDefinition::read(path).ok())?
    }

    /// Why guest or host cannot have a parameter's value, if they cannot: by what the guest's files
    /// show, what the host answers, and what is said of the products.
    fn cannot(
        &self,
        (guest, host): (&Product, &Product),
        definition: Option<&GuestDefinition>,
        row: &MachineRow,
        what: &str,
    ) -> Option<String> {
        let facts = self.guest.guest.facts();
        let lacks = |device: &str| match self.guest.guest.driver(device) {
            Answer::Yes => None,
            Answer::No(why) => Some(format!("{}: {why}", facts.name)),
        };
        // What a kernel's own modules show is worth more than what is said of it.
        let arch = Arch::new(&self.owed.arch);
        let said = |option| match facts.kind {
            GuestKind::Kernel => None,
            GuestKind::Disk => self.products.cannot(guest, host, &arch, option),
        };
        match what {
            "firmware" => firmware(self.host, facts, definition, row.firmware)
                .or_else(|| said(MachineOption::Firmware(row.firmware))),
            "disk" => lacks(row.disk.name())
                .or_else(|| bus(facts, definition, row.disk))
                .or_else(|| said(MachineOption::Disk(row.disk))),
            "nic" => lacks(nic(row.nic)).or_else(|| said(MachineOption::Nic(row.nic))),
            "channel" if row.channel == ChannelKind::Virtio => lacks("virtio-console"),
            "vcpus" => said(MachineOption::Vcpus(row.vcpus)),
            "memory" => {
                let has = self.host.host.facts().memory_mib;
                // The harness and the system of the physical machine take the rest.
                let beyond = row.memory.as_mib() > has / 4 * 3;
                let words = || {
                    format!(
                        "the physical machine has {has} MiB, of which a quarter is not for guests"
                    )
                };
                let least = definition
                    .and_then(GuestDefinition::memory)
                    .filter(|least| row.memory < *least);
                beyond
                    .then(words)
                    .or_else(|| {
                        least.map(|least| format!("{} starts with {least} at least", facts.name))
                    })
                    .or_else(|| said(MachineOption::Memory(row.memory)))
            }
            _ => None,
        }
    }
}

fn firmware(
    host: &PlannedHost,
    facts: &GuestFacts,
    definition: Option<&GuestDefinition>,
    firmware: Firmware,
) -> Option<String> {
    if firmware == Firmware::Uefi
        && let Answer::No(why) = host.host.offers(Capability::Uefi)
    {
        return Some(format!("{}: {why}", host.host.facts().name));
    }
    let Some(GuestDefinition::Disk(disk)) = definition else { return None };
    (!disk.firmware.contains(&firmware))
        .then(|| format!("{} does not start from it, by its definition", facts.name))
}

fn bus(facts: &GuestFacts, definition: Option<&GuestDefinition>, bus: Bus) -> Option<String> {
    let Some(GuestDefinition::Disk(disk)) = definition else { return None };
    (!disk.buses.contains(&bus))
        .then(|| format!("{} does not start from it, by its definition", facts.name))
}

/// The name of an adapter in the table of drivers.
const fn nic(model: NicModel) -> &'static str {
    match model {
        NicModel::Virtio => "virtio-net",
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
        NicModel::Rtl8139 => "rtl8139",
        NicModel::Vmxnet3 => "vmxnet3",
    }
}

fn show(shown: &[(PairPlan, Rows)], deal: &Agreement, plan: &Plan) {
    let paint = Paint::stdout();
    out!("{} on {}", paint.bold(&safe(&deal.title)), plan.as_of);
    for (pair, found) in shown {
        out!(
            "\n{}  {} on {}",
            paint.bold(&safe(&pair.obligation)),
            safe(&pair.guest.name),
            safe(&pair.host.name)
        );
        let words: Vec<_> = pair.rows.iter().map(|row| row.machine.words()).collect();
        let width = |n: usize, name: &str| {
            let cells = words.iter().filter_map(|row| row.get(n)).map(String::len);
            cells.chain([name.len()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> =
            MACHINE_PARAMETERS.iter().enumerate().map(|(n, name)| width(n, name)).collect();
        let line = |row: Vec<&str>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        if !words.is_empty() {
            out!("{}", paint.dim(&format!("   #  {}", line(MACHINE_PARAMETERS.to_vec()))));
        }
        for (n, row) in words.iter().enumerate() {
            out!("{:>4}  {}", n + 1, line(row.iter().map(String::as_str).collect()));
        }
        let coverage = &found.coverage;
        let done = match pair.done.len() {
            0 => String::new(),
            1 => " and 1 that the log has".to_owned(),
            n => format!(" and {n} that the log has"),
        };
        out!(
            "      {} rows{done} cover {} of {} feasible {}-way combinations; no fewer than {} could",
            words.len(),
            coverage.covered,
            coverage.feasible(),
            coverage.strength,
            found.least
        );
        if coverage.infeasible > 0 {
            out!("      {} combinations cannot be:", coverage.infeasible);
        }
        for rule in &pair.space.infeasible {
            out!("        {}", paint.dim(&safe(&format!("{}: {}", rule.what(), rule.reason))));
        }
    }
}
