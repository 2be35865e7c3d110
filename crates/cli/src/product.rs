//! Products and their facts: list, show, search, order of releases, the machine for a pair, newer data.

mod update;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use hospitium_products::{
    Arch, Conflict, Fact, Found, LinkKind, Product, ProductKind, Products, Property, Resolved,
    Sources, Version,
};
use serde::Serialize;

use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::{Paint, safe, wrapped};

/// Where facts about products come from.
#[derive(Debug, Clone, Args)]
pub struct SourceArguments {
    /// Folder of osinfo-db [default: $OSINFO_SYSTEM_DIR, else what `product update` took over, else
    /// /usr/share/osinfo if it is there]
    #[arg(long, global = true, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub osinfo: Option<PathBuf>,
    /// endoflife.date's products: a folder of NAME.json or NAME.yaml, one such file, or an address
    /// such as `https://endoflife.date/api`
    #[arg(long, global = true, env = "HOSPITIUM_ENDOFLIFE", value_name = "DIR|URL")]
    pub endoflife: Option<String>,
    /// Folder of more definitions (*.toml) beside those that are built in [default: what `product update`
    /// took over]
    #[arg(long, global = true, env = "HOSPITIUM_PRODUCTS", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub products: Option<PathBuf>,
}

impl SourceArguments {
    /// Reads the sources that are named, or those of this system.
    pub fn load(self) -> Result<Products> {
        Products::load(&self.named()).context("the products cannot be read")
    }

    /// The sources that are named, or those of this system.
    pub fn named(self) -> Sources {
        let mut sources = update::with_kept(Sources::of_this_system());
        sources.osinfo = self.osinfo.or(sources.osinfo);
        sources.endoflife = self.endoflife.filter(|place| !place.is_empty());
        let named = self.products.filter(|folder| !folder.as_os_str().is_empty());
        sources.definitions = named.or(sources.definitions);
        if sources.osinfo.is_none() {
            note!(
                "warning: osinfo-db is not here, so most guests are unknown; install it (apt \
                 install osinfo-db) or name its folder with --osinfo"
            );
        }
        sources
    }
}

#[derive(Debug, Args)]
pub struct ProductArguments {
    #[command(flatten)]
    pub sources: SourceArguments,
    /// JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: ProductCommand,
}

#[derive(Debug, Subcommand)]
pub enum ProductCommand {
    /// Products that are known, by line and in the order of releases
    List {
        /// Only this line of releases, such as rhel, windows-server, qemu
        line: Option<String>,
        /// Only guests, or only hosts
        #[arg(long)]
        kind: Option<Kind>,
    },
    /// Everything that is said of a product, and who says it; contradictions are marked
    Show {
        /// A name, short id, alias or id
        #[arg(required = true)]
        product: Vec<String>,
    },
    /// Products that a text may mean, with reasons
    Search {
        /// What people write, such as windows 2003 sp2
        #[arg(required = true)]
        text: Vec<String>,
        /// Only guests, or only hosts
        #[arg(long)]
        kind: Option<Kind>,
    },
    /// Which of two versions or products comes first
    Compare {
        /// A product, or a version such as 5.9 or "2003 SP2"
        first: String,
        /// Another
        second: String,
    },
    /// The machine for a guest on a host, each choice with its reason
    Machine {
        /// The guest
        guest: String,
        /// The host
        host: String,
        /// Architecture [default: x86_64 where the guest has it]
        #[arg(long)]
        arch: Option<String>,
    },
    /// Take over newer data, which later runs use
    Update {
        /// osinfo-db, a folder or an archive (.tar.xz, .tar.gz, .tar); or definitions, a folder of *.toml or
        /// one such file
        #[arg(value_hint = ValueHint::AnyPath)]
        source: PathBuf,
        /// Take over an osinfo-db that is older than the one in use
        #[arg(long)]
        older: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Guest,
    Host,
}

impl From<Kind> for ProductKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Guest => Self::Guest,
            Kind::Host => Self::Host,
        }
    }
}

/// `hospitium product …`.
pub fn product(arguments: ProductArguments) -> Result<End> {
    let ProductArguments { sources, json, command } = arguments;
    if let ProductCommand::Update { source, older } = &command {
        return update::update(source, sources, *older, json);
    }
    let products = sources.load()?;
    match command {
        // Answered above, for it reads no products.
        ProductCommand::Update { .. } => Ok(End::Good),
        ProductCommand::List { line, kind } => list(&products, line.as_deref(), kind, json),
        ProductCommand::Show { product } => show(&products, &product.join(" "), json),
        ProductCommand::Search { text, kind } => search(&products, &text.join(" "), kind, json),
        ProductCommand::Compare { first, second } => compare(&products, &first, &second, json),
        ProductCommand::Machine { guest, host, arch } => {
            machine(&products, &guest, &host, arch.as_deref(), json)
        }
    }
}

/// The product that is meant, or an error that says what may be meant.
pub fn meant<'a>(
    products: &'a Products,
    text: &str,
    kind: Option<ProductKind>,
) -> Result<&'a Product> {
    products.resolve_kind(text, kind).map_err(|error| {
        Usage::error(
            safe(&error.to_string()),
            format!("see what may be meant: hospitium product search \"{}\"", safe(text)),
        )
    })
}

fn print<T: Serialize>(value: &T) -> Result<()> {
    out!("{}", serde_json::to_string_pretty(value).context("cannot write JSON")?);
    Ok(())
}

fn list(products: &Products, line: Option<&str>, kind: Option<Kind>, json: bool) -> Result<End> {
    let fits = |p: &&Product| {
        line.is_none_or(|line| p.line == line)
            && kind.is_none_or(|kind| p.kind == ProductKind::from(kind))
    };
    let mut found: Vec<_> = products.iter().filter(fits).collect();
    if let Some(line) = line.filter(|_| found.is_empty()) {
        let lines: std::collections::BTreeSet<_> =
            products.iter().map(|p| p.line.as_str()).filter(|line| !line.is_empty()).collect();
        let lines: Vec<_> = lines.into_iter().map(safe).collect();
        return Err(Usage::error(
            format!("no product is of the line {line:?}"),
            format!("take one of {}", lines.join(", ")),
        ));
    }
    found.sort_by(|a, b| (&a.line, &a.release, &a.id).cmp(&(&b.line, &b.release, &b.id)));
    if json {
        print(&found)?;
        return Ok(End::Good);
    }
    let paint = Paint::stdout();
    let mut before = None;
    for product in &found {
        if before.replace(&product.line) != Some(&product.line) {
            let title = if product.line.is_empty() { "(no line)" } else { &product.line };
            out!("\n{}", paint.bold(&safe(title)));
        }
        let day = |day: Option<String>| day.unwrap_or_else(|| "-".into());
        out!(
            "  {:<28} {:<10} {:<10}  {}",
            safe(product.short()),
            day(product.released().map(|day| day.to_string())),
            day(product.end_of_life().map(|fact| safe(&fact.value.to_string()))),
            safe(&product.name)
        );
    }
    out!("\n{} products: short id, released, end of life, name", found.len());
    Ok(End::Good)
}

#[derive(Serialize)]
struct Shown<'a> {
    product: &'a Product,
    ends: Vec<&'a Fact>,
    conflicts: Vec<Conflict<'a>>,
    devices: Vec<hospitium_products::DeviceSupport<'a>>,
}

fn show(products: &Products, text: &str, json: bool) -> Result<End> {
    let product = meant(products, text, None)?;
    let arch = usual_arch(product);
    let devices = products.devices_of(product, &arch);
    let conflicts = product.conflicts();
    if json {
        print(&Shown { product, ends: product.ends(), conflicts, devices })?;
        return Ok(End::Good);
    }
    let paint = Paint::stdout();
    let kind = match product.kind {
        ProductKind::Guest => "guest",
        ProductKind::Host => "host",
    };
    out!("{}", paint.bold(&safe(&product.name)));
    out!("  id        {}", product.id);
    out!("  short     {}", safe(&product.short_ids.join(", ")));
    out!(
        "  is        {kind}, release {} of {}",
        safe(product.release.as_str()),
        safe(&product.line)
    );
    let archs: Vec<_> = product.archs.iter().map(|arch| safe(arch.as_str())).collect();
    if !archs.is_empty() {
        out!("  for       {}", archs.join(", "));
    }
    for alias in &product.aliases {
        out!("  alias     {}  {}", safe(&alias.text), paint.dim(&safe(&alias.source.to_string())));
    }
    for link in &product.links {
        let name = products.get(&link.to).map_or(link.to.as_str(), |to| to.short());
        out!(
            "  {:<14} {}  {}",
            link.kind.words(),
            safe(name),
            paint.dim(&safe(&link.source.to_string()))
        );
    }
    facts(product, &conflicts, paint);
    if !devices.is_empty() {
        out!("\n{} {}", paint.bold("devices"), paint.dim(&format!("on {arch}")));
    }
    for support in devices {
        let name = support.described.map_or_else(|| support.device.as_str(), |d| d.name.as_str());
        let by = products.get(support.said_by).map_or("", |by| by.short());
        let with = if support.with_drivers { ", with drivers from elsewhere" } else { "" };
        out!(
            "  {:<18} {}",
            safe(name),
            paint.dim(&safe(&format!("{}, said of {by}{with}", support.source)))
        );
    }
    let later = products.after(product);
    let next = later.first().map(|p| format!("next is {}; ", safe(p.short()))).unwrap_or_default();
    out!(
        "\n{next}{} contradictions among {} facts",
        product.conflicts().len(),
        product.facts.len()
    );
    Ok(End::Good)
}

fn facts(product: &Product, conflicts: &[Conflict<'_>], paint: Paint) {
    let mut facts: Vec<_> = product.facts.iter().collect();
    facts.sort_by_key(|fact| {
        (fact.property, fact.arch.clone(), fact.source.kind, fact.note.is_some())
    });
    let mut before: Option<(Property, Option<&Arch>)> = None;
    out!("\n{}", paint.bold("facts"));
    for fact in facts {
        let contradicted =
            conflicts.iter().any(|c| c.property == fact.property && c.arch == fact.arch.as_ref());
        let of = (fact.property, fact.arch.as_ref());
        let new = before.replace(of) != Some(of);
        let arch = fact.arch.as_ref().map(|arch| format!(" ({arch})")).unwrap_or_default();
        let label = if new { format!("{}{arch}", fact.property.words()) } else { String::new() };
        let value = safe(&fact.value.to_string());
        let mark = if contradicted { paint.verdict("flaky", "!") } else { " ".into() };
        out!(
            "{mark} {:<28} {value:<12} {}",
            safe(&label),
            paint.dim(&safe(&fact.source.to_string()))
        );
        if let Some(remark) = &fact.note {
            out!("{}", wrapped(remark, "                                              "));
        }
    }
    if !conflicts.is_empty() {
        out!("\n! sources contradict each other here; all are kept, the first is believed");
    }
}

fn search(products: &Products, text: &str, kind: Option<Kind>, json: bool) -> Result<End> {
    let found = products.search_kind(text, kind.map(ProductKind::from));
    if json {
        print(&found)?;
        return Ok(if found.decided { End::Good } else { End::Bad });
    }
    let paint = Paint::stdout();
    let Found { query, candidates, decided, newer } = &found;
    for (written, taken) in &query.corrected {
        out!("{:?} is taken for {:?}", safe(written), safe(taken));
    }
    if let Some(arch) = &query.arch {
        out!("architecture: {}", safe(arch.as_str()));
    }
    if let Some(edition) = &query.edition {
        out!("edition: {}, of which no product is known apart", safe(edition));
    }
    match (candidates.first(), decided) {
        _ if newer.is_some() => {
            let words = newer.as_ref().map(hospitium_products::Newer::words).unwrap_or_default();
            out!("{}", safe(&words));
        }
        (None, _) => out!("nothing is called {:?}", safe(text)),
        (Some(_), true) => out!("this is meant:"),
        (Some(_), false) => out!("any of these may be meant:"),
    }
    for (number, candidate) in candidates.iter().enumerate() {
        if number == 1 && *decided {
            out!("these come near:");
        }
        let product = candidate.product;
        out!(
            "  {}  {}  {}",
            paint.bold(&safe(product.short())),
            safe(&product.name),
            paint.dim(&safe(&candidate.reasons.join("; ")))
        );
    }
    Ok(if *decided { End::Good } else { End::Bad })
}

#[derive(Serialize)]
struct Compared<'a> {
    first: &'a str,
    second: &'a str,
    order: &'a str,
    line: Option<&'a str>,
}

fn compare(products: &Products, first: &str, second: &str, json: bool) -> Result<End> {
    let found = (products.resolve(first), products.resolve(second));
    let (a, b, line) = match &found {
        (Ok(a), Ok(b)) if a.line == b.line => {
            (a.release.clone(), b.release.clone(), Some(a.line.as_str()))
        }
        (Ok(a), Ok(b)) => {
            return Err(Usage::error(
                format!("{} and {} are of different lines", safe(&a.name), safe(&b.name)),
                "compare two releases of one line",
            ));
        }
        _ => (Version::new(first), Version::new(second), None),
    };
    let order = if a.same_release(&b) {
        "same"
    } else if a < b {
        "before"
    } else {
        "after"
    };
    if json {
        let (first, second) = (a.as_str(), b.as_str());
        print(&Compared { first, second, order, line })?;
        return Ok(End::Good);
    }
    let sign = match order {
        "same" => "is the same release as",
        "before" => "comes before",
        _ => "comes after",
    };
    let line = line.map(|line| format!(" in {}", safe(line))).unwrap_or_default();
    out!("{} {sign} {}{line}", safe(a.as_str()), safe(b.as_str()));
    Ok(End::Good)
}

/// 64-bit PCs, unless the product is told to be for 32-bit ones only.
fn usual_arch(product: &Product) -> Arch {
    let only_32 = product.archs.contains(&Arch::i686()) && !product.archs.contains(&Arch::x86_64());
    if only_32 { Arch::i686() } else { Arch::x86_64() }
}

fn machine(
    products: &Products,
    guest: &str,
    host: &str,
    arch: Option<&str>,
    json: bool,
) -> Result<End> {
    let asked = products.search_kind(guest, Some(ProductKind::Guest)).query.arch;
    let guest = meant(products, guest, Some(ProductKind::Guest))?;
    let host = meant(products, host, Some(ProductKind::Host))?;
    let arch = arch.map(Arch::new).or(asked).unwrap_or_else(|| usual_arch(guest));
    let resolved = products.machine(guest, host, &arch).map_err(|error| {
        Usage::error(
            safe(&error.to_string()),
            format!("see what is said: hospitium product show {}", safe(host.short())),
        )
    })?;
    if json {
        print(&resolved)?;
        return Ok(End::Good);
    }
    let paint = Paint::stdout();
    out!(
        "{} {} {}",
        paint.bold(&safe(&guest.name)),
        paint.dim(&format!("({arch}) on")),
        paint.bold(&safe(&host.name))
    );
    choices(&resolved, paint);
    if let Some(base) = guest.linked(LinkKind::ServicePackOf).next() {
        out!("\n{}", paint.dim(&format!("what is not said of it is as said of {base}")));
    }
    Ok(End::Good)
}

fn choices(resolved: &Resolved, paint: Paint) {
    for choice in &resolved.choices {
        let mark = if choice.in_machine { " " } else { "!" };
        out!("{mark} {:<15} {}", choice.part.name(), paint.bold(&safe(&choice.chosen)));
        out!("{}", wrapped(&choice.reason, "                    "));
        for source in &choice.sources {
            out!("{}", paint.dim(&format!("                      - {}", safe(source))));
        }
    }
}
