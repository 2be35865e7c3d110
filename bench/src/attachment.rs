//! How much memory two servers need for a large attachment: uploaded at one desk, brought to the other, downloaded there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hospitium_desk::{CaseId, Office, write_address};
use hospitium_model::Digest;

use crate::desks::{Desks, engineer};
use crate::served::{Served, text};
use crate::{Measured, http, page};

/// Chunks of 64 KiB: 1 GiB, less what the form has beside it.
const CHUNKS: u64 = 1 << 14;
const BOUNDARY: &str = "the-end-of-a-part";
/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Carries the attachment; writes the number into the page.
pub fn run() -> Result<()> {
    let hospitium = xtask::build()?;
    let scratch = xtask::setup::cache()?.join("bench/attachment");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        let desks = Desks::new(&scratch).await?;
        let serve = |office: &Office| {
            let home = scratch.join(office.us.as_str());
            Served::start(&hospitium, &["--desk", text(&home)?])
        };
        let servers = [serve(&desks.submitter)?, serve(&desks.receiver)?];
        for (at, of) in [(0, 1), (1, 0)] {
            let both = [&desks.submitter, &desks.receiver];
            let address = format!("http://{}", servers[of].address).parse()?;
            write_address(&both[at].known, &both[of].us, Some(&address))?;
        }
        carried(&desks, &servers).await
    })?;
    std::fs::remove_dir_all(&scratch)?;
    page::show(&measured);
    page::write("attachment", &measured, None)
}

async fn carried(desks: &Desks, servers: &[Served; 2]) -> Result<Vec<Measured>> {
    let [one, other] = servers;
    let before = one.peak_memory()?.max(other.peak_memory()?);
    let id = desks.offer(1).await?;
    desks.submitter.ring();
    until("the case arrives", async || desks.receiver.store.load(&id).await.is_ok()).await?;
    desks.accept(&id).await?;
    desks.receiver.ring();
    let started = async || {
        let thread = desks.submitter.store.load(&id).await;
        thread.is_ok_and(|thread| thread.case().state.name() == "working")
    };
    until("the case is accepted", started).await?;

    let began = Instant::now();
    let (size, digest) = upload(desks, &one.address, &id).await?;
    let uploaded = began.elapsed();
    let there = desks.receiver.vault.theirs(&id);
    let began = Instant::now();
    until("the attachment arrives", async || there.has(&digest)).await?;
    let brought = began.elapsed();
    let (cookie, _) = engineer(&desks.receiver).await?;
    let began = Instant::now();
    let path = format!("/desk/cases/{id}/files/{digest}");
    let answer = http::get(&other.address, &path, &cookie).await?;
    ensure!(answer.status == 200 && answer.body == size, "{} bytes came down", answer.body);
    let downloaded = began.elapsed();
    let peaks = [one.peak_memory()?, other.peak_memory()?];
    let rate = |time: Duration| (size >> 20) as f64 / time.as_secs_f64().max(1e-9);
    println!(
        "uploaded at {:.0} MiB/s, brought at {:.0} MiB/s, downloaded at {:.0} MiB/s",
        rate(uploaded),
        rate(brought),
        rate(downloaded)
    );
    let most = peaks.into_iter().max().unwrap_or_default();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(vec![Measured {
        what: format!(
            "peak memory of a server that an attachment of {} MiB passes through: uploaded at one desk ({:.0} MiB), \
             brought to the other and downloaded there ({:.0} MiB)",
            size >> 20,
            mib(peaks[0]),
            mib(peaks[1])
        ),
        ours: format!("{:.0} MiB", mib(most)),
        other: format!("{:.0} MiB before the first request", mib(before)),
        ratio: mib(most) / mib(before).max(1e-6),
        bar: "≤ 64 MiB",
        reached: most <= 64 << 20,
        bound: "pieces of 2 MiB, of which a few are in memory at once".into(),
    }])
}

/// Sends the form as a browser would. Gives the size of the file and its digest.
async fn upload(desks: &Desks, address: &str, id: &CaseId) -> Result<(u64, Digest)> {
    let (cookie, token) = engineer(&desks.submitter).await?;
    let field = |name: &str, value: &str| {
        format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    };
    let head = field("csrf", &token.for_forms())
        + &field("once", &"5".repeat(64))
        + &field("class", "vendor")
        + &format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"memory.dump\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let headers = format!("{cookie}content-type: multipart/form-data; boundary={BOUNDARY}\r\n");
    let path = format!("/desk/cases/{id}/files");
    let answer =
        http::post(address, &path, &headers, (head.as_bytes(), CHUNKS, tail.as_bytes())).await?;
    ensure!(
        answer.status == 303,
        "the upload is answered with {}: {}",
        answer.status,
        answer.text()
    );
    let thread = desks.submitter.store.load(id).await?;
    let file = thread.case().attachments.first().context("the case has no attachment")?;
    Ok((file.file.size, file.file.sha256))
}

/// Waits for something that a server does by itself.
async fn until(what: &str, is: impl AsyncFn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !is().await {
        ensure!(began.elapsed() < LIMIT, "{what}: not within {} s", LIMIT.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
