//! Sign-in at a provider of others: `oidc-provider`, which is certified by the OpenID Foundation. Needs Node and what
//! `cargo xtask test` fetches (HOSPITIUM_OIDC names its `node_modules`).

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use axum::body::Body;
use axum::http::{Request, header};
use openidconnect::url::Url;

use super::fake::{BACK, CLIENT, PERSON, SECRET};
use super::hostile::{HASTY, provider};
use crate::desk::Oidc;
use crate::desk::tests::DeskWorld;
use crate::sample::text;

/// The provider, in a process that ends with the test.
struct Server {
    child: Child,
    issuer: String,
}

impl Server {
    fn start(modules: &str) -> Self {
        let mut node = Command::new("node");
        node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/desk/oidc/tests/provider.mjs"));
        node.args([modules, CLIENT, SECRET, BACK]);
        let mut child = node.stdout(Stdio::piped()).spawn().expect("node runs");
        let told = BufReader::new(child.stdout.take().expect("is piped"));
        // It warns of what it is not made for.
        let mut lines = told.lines().map(|line| line.expect("is text"));
        let issuer = lines.find(|line| line.starts_with("http://")).expect("is told");
        Self { child, issuer }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser at the provider: it keeps cookies, sends forms and goes where it is sent, until that is the desk again.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Opens a page, or sends a form to it. Gives the address that it ends at, and what it shows.
    fn open(&mut self, address: &str, mut form: Option<&str>) -> (String, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .build()
            .into();
        let mut at = Url::parse(address).expect("a URL");
        for _ in 0..10 {
            if at.as_str().starts_with(BACK) {
                return (at.into(), String::new());
            }
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let cookies = cookies.join("; ");
            let mut answer = match form.take() {
                Some(form) => agent
                    .post(at.as_str())
                    .header("cookie", cookies)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .send(form),
                None => agent.get(at.as_str()).header("cookie", cookies).call(),
            }
            .expect("answers");
            for set in answer.headers().get_all("set-cookie") {
                let (name, rest) =
                    set.to_str().ok().and_then(|one| one.split_once('=')).expect("set");
                let value = rest.split(';').next().unwrap_or_default();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let to = answer.headers().get("location").and_then(|to| to.to_str().ok());
            match to.map(|to| at.join(to).expect("a URL")) {
                Some(to) => at = to,
                None => return (at.into(), answer.body_mut().read_to_string().expect("is text")),
            }
        }
        panic!("it is sent around in a circle");
    }

    /// Signs in at the provider and agrees that the desk learns who it is.
    fn signs_in(&mut self, address: &str, name: &str) -> String {
        let (page, shown) = self.open(address, None);
        assert!(shown.contains("name=\"login\""), "{page}: {shown}");
        let form = format!("prompt=login&login={name}&password=any");
        let (page, shown) = self.open(&page, Some(&form));
        assert!(shown.contains("value=\"consent\""), "{page}: {shown}");
        let (back, shown) = self.open(&page, Some("prompt=consent"));
        assert!(back.starts_with(BACK), "{back}: {shown}");
        back
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node and packages of npm; cargo xtask test has them"]
async fn people_sign_in_at_a_certified_provider() {
    let modules = std::env::var("HOSPITIUM_OIDC").expect("HOSPITIUM_OIDC is set");
    let server = Server::start(&modules);
    let (provider, secret) = provider(&server.issuer, "end-session = true\n");
    let ann = provider.identity(PERSON).expect("an identity");
    let oidc = Oidc::with(provider, secret, "https://desk.example", HASTY).expect("made");
    let desk = DeskWorld::new().await.with_oidc(oidc);
    let login = "ann".parse().expect("a name");
    desk.office.store.link(&login, Some(&ann)).await.expect("linked");
    let get = async |path: &str, cookie: &str| {
        let request = Request::get(path).header(header::COOKIE, cookie).body(Body::empty());
        desk.world.ask(request.expect("a request")).await
    };
    // Who is known; who is not; whose mail address is not verified.
    for (name, status, words) in [
        ("ann", 303, ""),
        ("stranger", 403, "This desk has no person of that name"),
        ("unverified", 403, "mail address is verified"),
    ] {
        let begun = get("/desk/sign-in/oidc?next=/desk/open", "").await;
        let header = |name| begun.headers().get(name).and_then(|value| value.to_str().ok());
        let to = header(header::LOCATION).expect("sent on").to_owned();
        let cookie = header(header::SET_COOKIE).and_then(|set| set.split(';').next());
        let cookie = cookie.expect("set").to_owned();
        let came =
            tokio::task::spawn_blocking(move || Browser::default().signs_in(&to, name)).await;
        let back = came.expect("comes back").replacen("https://desk.example", "", 1);
        assert!(back.contains("&iss="), "it says who it is (RFC 9207): {back}");
        let got = get(&back, &cookie).await;
        assert_eq!(got.status().as_u16(), status, "{name}");
        let sets = got.headers().get_all(header::SET_COOKIE).iter();
        let sessions = sets.filter(|set| set.as_bytes().starts_with(b"desk=")).count();
        assert_eq!(sessions, usize::from(status == 303), "{name}");
        let shown = text(got).await;
        assert!(shown.contains(words), "{name}: {shown}");
        let again = get(&back, &cookie).await;
        assert_eq!(again.status().as_u16(), 403, "{name} comes back again");
    }
}
