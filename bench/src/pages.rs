//! How long the site takes for its pages over many certificates: over the loopback interface, so that
//! routing, headers and the network's own part are in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hospitium_catalog::{Catalog, LogSource};
use hospitium_products::Products;
use hospitium_web::{Site, Sources, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Measured;

/// Requests for each page.
const REQUESTS: usize = 30;

/// Serves the catalog and asks for every kind of page, `guest` and `host` being short ids of a pair
/// with records.
pub async fn pages(
    catalog: Catalog,
    products: Products,
    source: LogSource,
    (guest, host, other_host): (&str, &str, &str),
    records: u64,
) -> Result<Measured> {
    let (newest, _) = catalog.newest_records(today(), None, 1).await.context("no record")?;
    let digest = newest.first().context("no record")?.record.digest.clone();
    let sources = Sources {
        products,
        agreements: Vec::new(),
        logs: vec![source],
        evidence: Vec::new(),
        runs: None,
        as_of: None,
        base: None,
    };
    let site = Arc::new(Site::new(catalog, sources));
    site.view().await?;
    let listener = serve::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (end, told) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve::serve(listener, site, Default::default(), async {
        let _ = told.await;
    }));
    let paths = [
        "/style.css".to_owned(),
        "/".to_owned(),
        format!("/pairs/{guest}/{host}"),
        format!("/products/{guest}"),
        format!("/products/{host}"),
        format!("/hosts/{host}/{other_host}"),
        format!("/certificates/{digest}"),
        "/certificates".to_owned(),
        "/products".to_owned(),
        "/search?q=windows+2008".to_owned(),
        "/logs".to_owned(),
    ];
    let (mut slowest, mut plain) = ((Duration::ZERO, String::new()), Duration::ZERO);
    for path in paths {
        let mut times = Vec::new();
        for _ in 0..REQUESTS {
            let began = Instant::now();
            get(&address, &path).await?;
            times.push(began.elapsed());
        }
        times.sort();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        println!("{:>8.2} ms  {path}", median.as_secs_f64() * 1e3);
        if path == "/style.css" {
            plain = median;
        } else if median > slowest.0 {
            slowest = (median, path);
        }
    }
    let _ = end.send(());
    serving.await.context("the server broke off")?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Measured {
        what: format!("slowest page of the site, {records} certificates (median): {}", slowest.1),
        ours: format!("{:.2} ms", ms(slowest.0)),
        other: format!("{:.2} ms for the style sheet, a file in memory", ms(plain)),
        ratio: ms(slowest.0) / ms(plain).max(1e-6),
        bar: "< 20 ms",
        reached: ms(slowest.0) < 20.0,
        bound: "the database's indexes, and as many rows as the page shows".into(),
    })
}

/// Today, in UTC.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// One request on a connection of its own.
async fn get(address: &str, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path} is not answered");
    Ok(())
}
