use std::time::Duration;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A server with these bounds, where it listens, and what ends it.
async fn serving(limits: Connections) -> (std::net::SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("listens");
    let (end, closing) = watch::channel(false);
    let app = Router::new().route("/", get(|| async { "here" }));
    tokio::spawn(answer(listener, app, limits, closing));
    (address, end)
}

async fn open(address: std::net::SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // Refused ones may be closed already.
    let _ = stream.write_all(request.as_bytes()).await;
    stream
}

/// All that is said to the end of the connection.
async fn said(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

const WHOLE: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const HALF: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n";
/// Far more than any of these tests takes.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_request_that_is_sent_by_half_does_not_stay_open() {
    let limits = Connections { head: Duration::from_millis(50), ..Connections::default() };
    let (address, _end) = serving(limits).await;
    let mut half = Vec::new();
    for _ in 0..20 {
        half.push(open(address, HALF).await);
    }
    // Nor does one that says nothing, or nothing more.
    half.push(open(address, "").await);
    half.push(open(address, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await);
    // Each comes to its end, which only the server makes.
    for stream in half {
        let said = said(stream).await;
        assert!(!said.contains("503"), "{said}");
    }
    assert!(said(open(address, WHOLE).await).await.ends_with("here"));
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_places_and_gives_them_back() {
    let limits = Connections { in_all: 100, per_address: 3, head: LONG, unread: LONG };
    let (address, _end) = serving(limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = open(address, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        // It has its place once it is answered.
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.expect("answered");
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    assert!(said(open(address, "").await).await.starts_with("HTTP/1.1 503"));
    drop(held.pop());
    // Until the server has seen that it was closed, there is none.
    while !said(open(address, WHOLE).await).await.ends_with("here") {}
}

#[test]
fn places_are_counted_in_all_and_by_address_and_are_free_again() {
    let limits = Connections { in_all: 3, per_address: 2, head: LONG, unread: LONG };
    let open = Arc::new(Open::default());
    let take = |address: &str| open.take(address.parse().expect("an address"), limits);
    let (one, two) = (take("192.0.2.1").expect("free"), take("192.0.2.1").expect("free"));
    assert!(take("192.0.2.1").is_none() && take("::ffff:192.0.2.1").is_none());
    // Of one network are as good as one.
    let six = take("2001:db8::1").expect("another's");
    assert!(take("192.0.2.2").is_none(), "no place in all");
    drop(one);
    let more = take("2001:db8::2").expect("free again");
    assert!(take("2001:db8::ffff:1").is_none());
    drop((two, six, more));
    assert_eq!(*open.of.lock().expect("not poisoned"), (0, HashMap::new()));
}

#[tokio::test]
async fn a_request_without_one_host_is_refused() {
    let (address, _end) = serving(Connections::default()).await;
    let end = "Connection: close\r\n\r\n";
    for (head, status) in [
        ("GET / HTTP/1.1\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a/b example\r\n", "400"),
        ("GET http://a.example/ HTTP/1.1\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a.example:80\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n", "200"),
        ("GET / HTTP/1.0\r\n", "200"),
    ] {
        let said = said(open(address, &format!("{head}{end}")).await).await;
        assert_eq!(said.split(' ').nth(1), Some(status), "{head}: {said}");
    }
}

#[tokio::test]
async fn what_is_open_and_idle_ends_when_the_server_does() {
    let limits = Connections { head: LONG, ..Connections::default() };
    let (address, end) = serving(limits).await;
    let mut stream = open(address, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("answered");
    end.send_replace(true);
    assert!(said(stream).await.ends_with("here"));
}

/// Sends its word when an answer is over, for whatever reason.
struct Over(tokio::sync::mpsc::UnboundedSender<()>);

impl Drop for Over {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn whoever_reads_nothing_of_an_answer_loses_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("listens");
    let (_end, closing) = watch::channel(false);
    let (over, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().route(
        "/",
        get(move || {
            let held = Over(over.clone());
            // More than any buffer between the two takes.
            let endless = futures_util::stream::repeat_with(move || {
                let _ = &held;
                Ok::<_, io::Error>(axum::body::Bytes::from_static(&[7; 64 << 10]))
            });
            async { axum::body::Body::from_stream(endless) }
        }),
    );
    let limits =
        Connections { head: LONG, unread: Duration::from_millis(100), ..Connections::default() };
    tokio::spawn(answer(listener, app, limits, closing));
    let mut deaf = Vec::new();
    for _ in 0..8 {
        deaf.push(open(address, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await);
    }
    for _ in 0..8 {
        ended.recv().await.expect("the answer comes to an end");
    }
    drop(deaf);
}
