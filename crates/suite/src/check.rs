//! What a check is, and the macro that declares one.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use hospitium_model::{CheckId, Observations, Tier};

use crate::{Action, Cell, CheckError, Fault, Need};

/// What the function of a check returns.
pub type CheckFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Observations, CheckError>> + Send + 'a>>;

/// One requirement and how it is shown.
#[derive(Clone, Copy)]
pub struct Check {
    /// Id, such as `stor.flush-durable` or `stor.hot-add-remove/virtio`.
    pub id: &'static str,
    /// The requirement in one sentence.
    pub requirement: &'static str,
    /// How much it disturbs.
    pub tier: Tier,
    /// What must be there for it to apply.
    pub needs: &'static [Need],
    /// A fault that must turn it red.
    pub fault: Fault,
    /// The longest that it may take, its clone's start not included.
    pub limit: Duration,
    /// What its machine lives through in the middle of it, where it calls [`Cell::live`].
    pub life: &'static [Action],
    /// Does it.
    pub run: for<'a> fn(&'a mut Cell) -> CheckFuture<'a>,
}

impl Check {
    /// The id, parsed. A test holds that every id of the registry is good.
    pub fn id(&self) -> CheckId {
        self.id.parse().unwrap_or_else(|e| unreachable!("{e}: the registry's ids are tested"))
    }

    /// What comes behind the slash of the id: `virtio` of `stor.hot-add-remove/virtio`.
    pub fn variant(&self) -> &'static str {
        self.id.split_once('/').map_or("", |(_, variant)| variant)
    }
}

/// Declares a check: a constant that describes it and the function that does it. The doc comment
/// is the requirement. `docs/writing-a-check.md` explains each part.
///
/// ```ignore
/// check! {
///     /// Every configured vCPU is online.
///     pub COUNT = "cpu.count", tier: Reads, needs: [], fault: Fault::Guest(one_cpu_less);
///     async fn count(cell) {
///         let online = cell.guest.read_text("/sys/devices/system/cpu/online").await?;
///         let seen = cell.look().await?.vcpus?.value.len();
///         Ok(Observations::of([Finding::same("online vCPUs", count_of(&online)?, seen)]))
///     }
/// }
/// ```
///
/// Several ids may share one function, which tells them apart by [`Cell::variant`]:
/// `pub ON_VIRTIO = "x/virtio" needs [A], ON_USB = "x/usb" needs [B], tier: …`.
///
/// The same check under life-cycles: `…, fault: …, lives: [ACROSS_MIGRATE = MIGRATE]` makes a second check,
/// `x/after-migrate`, of the same function, whose machine is migrated where the function calls [`Cell::live`]. There
/// are `RESTORE`, `MIGRATE` and `MIGRATE_BACK`.
#[macro_export]
macro_rules! check {
    (
        $(#[doc = $doc:literal])+
        pub $name:ident = $id:literal, tier: $tier:ident, needs: [$($need:expr),* $(,)?],
            fault: $fault:expr $(, limit: $limit:literal s)?
            $(, lives: [$($lived:ident = $life:ident),+ $(,)?])?;
        async fn $function:ident($cell:ident) $body:block
    ) => {
        $crate::check! {
            $(#[doc = $doc])+
            pub [$name = $id needs [$($need),*]], tier: $tier, fault: $fault $(, limit: $limit s)?;
            async fn $function($cell) $body
        }
        $crate::check! {
            @lives [$($([$life $lived])+)?], $id, [$($need),*], $fault, $function, [$($doc),+],
            [$($limit)?]
        }
    };
    // Needs, documentation and limit become one token tree each, so that every life-cycle can repeat them.
    (
        @lives [$([$life:ident $lived:ident])*], $id:literal, $needs:tt, $fault:expr,
        $function:ident, $docs:tt, $limit:tt
    ) => {
        $($crate::check! { @live $life $lived, $id, $needs, $fault, $function, $docs, $limit })*
    };
    (
        @live RESTORE $name:ident, $id:literal, [$($need:expr),*], $fault:expr, $function:ident,
        [$($doc:literal),+], $limit:tt
    ) => {
        $crate::check! {
            @one $name, concat!($id, "/after-restore"),
            [
                $($need,)*
                $crate::Need::Host(hospitium_model::Capability::Snapshot),
                $crate::Need::Facet($crate::FacetKind::Saving),
                $crate::Need::Facet($crate::FacetKind::Cloning),
            ], Disruptive,
            $fault, $function, [$($doc),+, " So it is across a save and a restore."], $limit,
            [$crate::Action::SaveRestore]
        }
    };
    (
        @live MIGRATE $name:ident, $id:literal, [$($need:expr),*], $fault:expr, $function:ident,
        [$($doc:literal),+], $limit:tt
    ) => {
        $crate::check! {
            @one $name, concat!($id, "/after-migrate"),
            [
                $($need,)*
                $crate::Need::Host(hospitium_model::Capability::LiveMigration),
                $crate::Need::Facet($crate::FacetKind::Moving),
            ], SecondHost,
            $fault, $function, [$($doc),+, " So it is across a live migration."], $limit,
            [$crate::Action::Migrate]
        }
    };
    (
        @live MIGRATE_BACK $name:ident, $id:literal, [$($need:expr),*], $fault:expr,
        $function:ident, [$($doc:literal),+], $limit:tt
    ) => {
        $crate::check! {
            @one $name, concat!($id, "/after-migrate-back"),
            [
                $($need,)*
                $crate::Need::Host(hospitium_model::Capability::LiveMigration),
                $crate::Need::Facet($crate::FacetKind::Moving),
            ], SecondHost,
            $fault, $function, [$($doc),+, " So it is across live migrations there and back."],
            $limit, [$crate::Action::Migrate, $crate::Action::Migrate]
        }
    };
    (
        $(#[doc = $doc:literal])+
        pub $([$name:ident = $id:literal needs [$($need:expr),* $(,)?]]),+, tier: $tier:ident,
            fault: $fault:expr $(, limit: $limit:literal s)?;
        async fn $function:ident($cell:ident) $body:block
    ) => {
        $crate::check! {
            @each [$([$name, $id, [$($need),*]])+], $tier, $fault, $function,
            [$($doc),+], [$($limit)?]
        }
        $(#[doc = $doc])+
        async fn $function(
            $cell: &mut $crate::Cell,
        ) -> Result<hospitium_model::Observations, $crate::CheckError> $body
    };
    // Documentation and limit become one token tree each, so that every id can repeat them.
    (
        @each [$([$name:ident, $id:literal, $needs:expr])+], $tier:ident, $fault:expr,
        $function:ident, $docs:tt, $limit:tt
    ) => {
        $($crate::check! { @one $name, $id, $needs, $tier, $fault, $function, $docs, $limit, [] })+
    };
    (
        @one $name:ident, $id:expr, $needs:expr, $tier:ident, $fault:expr, $function:ident,
        $docs:tt, $limit:tt, $life:expr
    ) => {
        #[doc = concat!("`", $id, "`")]
        pub const $name: $crate::Check = $crate::Check {
            id: $id,
            requirement: $crate::check!(@sentence $docs),
            tier: hospitium_model::Tier::$tier,
            needs: &$needs,
            fault: $fault,
            limit: std::time::Duration::from_secs($crate::check!(@limit $limit)),
            life: &$life,
            run: |cell| {
                Box::pin(async move {
                    let seen = $function(cell).await?;
                    cell.lived(seen)
                })
            },
        };
    };
    (@sentence [$($doc:literal),+]) => { concat!($($doc),+).trim_ascii() };
    (@limit []) => { 60 };
    (@limit [$limit:literal]) => { $limit };
}
