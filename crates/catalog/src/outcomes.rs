//! What the records say of pairs, as plans take it in.

use hospitium_plan::obligation::{Endorsed, Outcome, SetAside, Told};
use hospitium_products::ProductId;
use jiff::civil::Date;

use crate::record::{Detail, EndorsedBy};
use crate::store::LogKnown;
use crate::{Catalog, CatalogError, Stored};

/// An endorsement with the keys that the agreement may know of its party.
fn endorsed(by: &EndorsedBy, logs: &[LogKnown]) -> Endorsed {
    let log = logs.iter().find(|log| log.row.id == by.log_id);
    Endorsed {
        party: by.party.clone(),
        repeated: by.repeated,
        keys: log.map(|log| log.keys(&by.key)).unwrap_or_default(),
        at: by.at.clone(),
        known: by.known,
    }
}

impl Stored {
    /// What a plan takes in of it. `set_aside` is the day from which it does not count, if it does not, and how that came.
    pub(crate) fn outcome(
        &self,
        guest: ProductId,
        host: ProductId,
        set_aside: Option<(Date, SetAside)>,
        logs: &[LogKnown],
    ) -> Outcome {
        let log = logs.iter().find(|log| log.row.id == self.log_id);
        let Detail { key, profile, drivers, covers, .. } = &self.detail;
        let told = Told {
            keys: log.map(|log| log.keys(key)).unwrap_or_default(),
            cosigners: self.cosigners().map(str::to_owned).collect(),
            profile: profile.clone(),
            drivers: drivers.clone(),
            covers: covers.clone(),
            endorsed: self.endorsed.iter().map(|by| endorsed(by, logs)).collect(),
        };
        Outcome {
            party: self.party.clone(),
            guest,
            host,
            arch: self.arch.clone(),
            passed: self.passed(),
            validated: self.validated,
            emulated: self.emulated,
            suite: self.detail.suite.clone(),
            certificate: self.place(),
            trial: self.trial(),
            withdrawn: set_aside.map(|(day, _)| day),
            set_aside: set_aside.map(|(_, how)| how).unwrap_or_default(),
            until: Some(self.until),
            told,
        }
    }
}

impl Catalog {
    /// The outcome of every record until a day whose guest and host are known products. One that is
    /// suspended or withdrawn on that day says so.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn outcomes(&self, as_of: Date) -> Result<Vec<Outcome>, CatalogError> {
        let logs = self.logs().await?;
        let mut outcomes: Vec<Outcome> = Vec::new();
        self.each(as_of, |line| {
            let record = &line.record;
            let ids = (line.guest_product.parse(), line.host_product.parse());
            if let (Ok(guest), Ok(host)) = ids {
                let how = match line.stands {
                    "suspended" => Some(SetAside::Suspended),
                    "withdrawn" => Some(SetAside::Withdrawn),
                    "fallen" => Some(SetAside::Fallen),
                    _ => None,
                };
                let back = how.map(|how| (as_of, how));
                outcomes.push(record.outcome(guest, host, back, &logs));
            }
            Ok(())
        })
        .await?;
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use hospitium_ledger::Statement;
    use jiff::civil::date;

    use crate::tests::{World, at, sample, statement};

    #[tokio::test]
    async fn a_plan_gets_what_was_said_until_its_day_and_what_was_taken_back() {
        let mut world = World::new(&["b.example"]);
        let said = [statement(&sample("2022-02-01")), statement(&sample("2022-05-01"))];
        let records = world.say("b.example", &said);
        let back = Statement::withdrawal("b.example", at("2022-04-01"), records[0], "a wrong disk");
        world.say("b.example", &[back]);
        let catalog = world.catalog().await;
        let seen = |as_of| {
            let catalog = &catalog;
            async move {
                let outcomes = catalog.outcomes(as_of).await.expect("reads");
                outcomes
                    .into_iter()
                    .map(|o| (o.validated, o.withdrawn.is_some()))
                    .collect::<Vec<_>>()
            }
        };
        assert_eq!(seen(date(2022, 3, 1)).await, [(date(2022, 2, 1), false)]);
        let later = seen(date(2022, 6, 1)).await;
        assert_eq!(later, [(date(2022, 2, 1), true), (date(2022, 5, 1), false)]);
    }
}
