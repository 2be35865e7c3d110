//! What programs do at the desk, by tokens of people's accounts.

use serde_json::{Value, json};

use super::*;

const CASES: &str = "/api/v1/desk/cases";

/// Calls in somebody's name; nobody's without one.
struct Program<'w> {
    desk: &'w DeskWorld,
    token: Option<Token>,
}

impl DeskWorld {
    async fn program(&self, who: Option<&str>) -> Program<'_> {
        let token = match who {
            Some(login) => {
                let (now, login) = (Timestamp::now(), login.parse().expect("a name"));
                let until = now + SignedDuration::from_hours(1);
                Some(self.office.store.add_token(&login, now, until).await.expect("made"))
            }
            None => None,
        };
        Program { desk: self, token }
    }
}

impl Program<'_> {
    async fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.as_str()));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.desk.world.ask(request.body(body).expect("a request")).await;
        let status = response.status().as_u16();
        assert_eq!(response.headers()["cache-control"], "no-store", "{method} {path}");
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).is_some();
        assert_eq!(challenge, status == 401, "{method} {path}");
        (status, serde_json::from_str(&text(response).await).expect("is JSON"))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, None, &Value::Null).await
    }
}

fn new_case() -> Value {
    json!({
        "to": "host.example", "summary": "the disk is slow", "description": "since the update",
        "severity": "high", "guest": "osa 5.2", "host": "vmmo 1", "features": ["live migration"],
        "number": "G-2002", "customer": "Customer Inc.", "consent": ["problem", "configuration"],
        "consent-by": "Pat Doe"
    })
}

/// Fails unless the answer fits what the OpenAPI document says of it.
fn fits(path: &str, method: &str, status: u16, answer: &Value) {
    let document = serde_json::to_value(crate::api::document()).expect("is JSON");
    let about = &document["paths"][path][method];
    assert_eq!(about["security"], json!([{ "token": [] }]), "{method} {path}");
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    let schema = &about["responses"][status.to_string()]["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path} has no description of {status}");
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    let validator = jsonschema::validator_for(&whole).expect("is a schema");
    let errors: Vec<String> = validator.iter_errors(answer).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{method} {path}: {errors:#?}\n{answer:#}");
}

#[tokio::test]
async fn every_call_gives_each_role_what_is_its_and_nothing_else() {
    let desk = DeskWorld::new().await;
    let case = format!("{CASES}/{}", desk.id);
    let none = format!("{CASES}/{}", CaseId::from_bytes([1; 16]));
    let replies = format!("{case}/replies");
    let one = "/api/v1/desk/cases/{id}";
    let (say, inside) = (json!({ "text": "x" }), json!({ "text": "x", "to": "internal" }));
    let (open, null) = (new_case(), Value::Null);
    let offered = json!({ "offer": true });
    let mut at_once = new_case();
    at_once.as_object_mut().expect("one").extend(offered.as_object().expect("one").clone());
    // As in WHO: nobody, engineer, manager, customer, another customer, auditor.
    for (method, path, described, body, expected) in [
        ("GET", CASES, CASES, &null, [401, 200, 200, 200, 200, 200]),
        ("GET", &case, one, &null, [401, 200, 200, 200, 404, 200]),
        ("GET", &none, one, &null, [401, 404, 404, 404, 404, 404]),
        ("POST", CASES, CASES, &open, [401, 201, 201, 201, 201, 403]),
        ("POST", CASES, CASES, &at_once, [401, 201, 201, 403, 403, 403]),
        ("POST", &replies, "/api/v1/desk/cases/{id}/replies", &say, [401, 200, 200, 200, 404, 403]),
        (
            "POST",
            &replies,
            "/api/v1/desk/cases/{id}/replies",
            &inside,
            [401, 200, 200, 403, 403, 403],
        ),
    ] {
        for (who, expected) in WHO.iter().zip(expected) {
            let program = desk.program(*who).await;
            let key = format!("{path} {who:?} {body}");
            let key = hospitium_model::Digest::of(key.as_bytes()).to_string();
            let (status, answer) = program.call(method, path, Some(&key), body).await;
            assert_eq!(status, expected, "{method} {path} by {who:?}: {answer:#}");
            fits(described, &method.to_lowercase(), status, &answer);
        }
    }
}

#[tokio::test]
async fn a_call_that_is_sent_twice_makes_one_case_and_says_one_thing() {
    let desk = DeskWorld::new().await;
    let ann = desk.program(Some("ann")).await;
    let (status, first) = ann.call("POST", CASES, Some("k1"), &new_case()).await;
    assert_eq!(status, 201, "{first:#}");
    assert_eq!(first["case"]["channel"], "api");
    assert_eq!(first["case"]["verdict"]["word"], "covered", "{first:#}");
    let (status, again) = ann.call("POST", CASES, Some("k1"), &new_case()).await;
    assert_eq!((status, &again["id"]), (200, &first["id"]));
    let (_, other) = ann.call("POST", CASES, Some("k2"), &new_case()).await;
    assert_ne!(other["id"], first["id"]);
    let (_, others) =
        desk.program(Some("max")).await.call("POST", CASES, Some("k1"), &new_case()).await;
    assert_ne!(others["id"], first["id"], "a key is its account's");
    // Offered by the same key, with one thing more.
    let mut offer = new_case();
    offer["offer"] = json!(true);
    let (status, offered) = ann.call("POST", CASES, Some("k1"), &offer).await;
    assert_eq!((status, &offered["state"], &offered["id"]), (200, &json!("offered"), &first["id"]));
    let path = format!("{CASES}/{}/replies", desk.id);
    for words in ["one", "one", "two"] {
        let (status, said) = ann.call("POST", &path, Some("r"), &json!({ "text": words })).await;
        assert_eq!(status, 200, "{said:#}");
    }
    let notes = desk.thread().await.case().notes.len();
    assert_eq!(notes, 2, "the same key with other words is another call");
    let (status, problem) = ann.call("POST", CASES, None, &new_case()).await;
    assert_eq!(status, 400, "{problem:#}");
    assert!(problem["detail"].as_str().is_some_and(|words| words.contains("idempotency-key")));
}

#[tokio::test]
async fn a_reply_answers_what_was_asked_and_a_customer_reads_nothing_of_the_vendors() {
    let desk = DeskWorld::new().await;
    let (by, deed) = accepted();
    desk.does(by, deed).await;
    let (by, deed) = started();
    desk.does(by, deed).await;
    let until = Timestamp::now() + SignedDuration::from_hours(24);
    let wait = WaitFor::Customer;
    desk.does(Side::Receiver, Deed::Waited { wait, reason: words("SECRET reason"), until }).await;
    let asked = Deed::ReproductionAsked {
        by: Side::Receiver,
        place: hospitium_desk::Place::OwnHypervisor,
        what: words("SECRET plan"),
    };
    desk.does(Side::Submitter, asked).await;
    let pat = desk.program(Some("pat")).await;
    let case = format!("{CASES}/{}", desk.id);
    let (_, seen) = pat.get(&case).await;
    for word in ["SECRET", "Bo Lind", "Ann Smith"] {
        assert!(!seen.to_string().contains(word), "{word}: {seen:#}");
    }
    assert_eq!(seen["legal"], json!(["answered", "noted"]), "{seen:#}");
    let path = format!("{case}/replies");
    let (status, said) = pat.call("POST", &path, Some("a"), &json!({ "text": "update 11" })).await;
    assert_eq!((status, &said["state"]), (200, &json!("working")), "{said:#}");
    // Without consent its words stay here.
    desk.does(Side::Submitter, Deed::ConsentWithdrawn { by: words("Pat Doe") }).await;
    let before = desk.thread().await.timeline().count();
    let (status, _) = pat.call("POST", &path, Some("b"), &json!({ "text": "our serial" })).await;
    assert_eq!((status, desk.thread().await.timeline().count()), (200, before));
    let asides = desk.office.store.asides(&desk.id).await.expect("read");
    assert!(asides.iter().any(|aside| aside.text.as_str().contains("our serial")));
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_account_and_its_password_and_a_session_is_none() {
    let desk = DeskWorld::new().await;
    let store = &desk.office.store;
    let (now, ann) = (Timestamp::now(), "ann".parse().expect("a name"));
    let past = store.add_token(&ann, now, now - SignedDuration::from_secs(1)).await.expect("made");
    let session = store.begin_session(&ann, now).await.expect("begun");
    for token in [past, session, Token::new().expect("random")] {
        let program = Program { desk: &desk, token: Some(token) };
        assert_eq!(program.get(CASES).await.0, 401);
    }
    let program = desk.program(Some("ann")).await;
    assert_eq!(program.get(CASES).await.0, 200);
    // Nor does a token open a page.
    let browser = Browser { desk: &desk, token: program.token.clone() };
    assert_eq!(browser.get("/desk").await.status, StatusCode::SEE_OTHER);
    store.change_password(&ann, "other").await.expect("changed");
    assert_eq!(program.get(CASES).await.0, 401);
    let program = desk.program(Some("ann")).await;
    store.remove_account(&ann).await.expect("removed");
    assert_eq!(program.get(CASES).await.0, 401);
}

#[tokio::test]
async fn what_a_program_sends_wrongly_is_a_problem_that_says_what() {
    let desk = DeskWorld::new().await;
    let ann = desk.program(Some("ann")).await;
    let with = |name: &str, value: Value| {
        let mut body = new_case();
        body[name] = value;
        body
    };
    for (body, words) in [
        (with("to", json!("stranger.example")), "The other vendor is not known here"),
        (with("severity", json!("worst")), "How much it hurts"),
        (with("guest", Value::Null), "Fill in guest and host"),
        (with("consent-by", Value::Null), "Who at the customer"),
        (with("summry", json!("x")), "unknown field"),
        (with("summary", json!("a\nb")), "The problem in one line"),
        (with("vm", json!({ "name": "vm.xml", "text": "<domain>" })), "definition is not read"),
        (json!([]), "The body is not read"),
    ] {
        let (status, problem) = ann.call("POST", CASES, Some("k"), &body).await;
        let told = problem["detail"].as_str().is_some_and(|detail| detail.contains(words));
        assert!(status == 422 && told, "{words}: {status} {problem:#}");
    }
    let (ids, drafts) = desk.office.store.ids().await.expect("listed");
    assert_eq!((ids.len(), drafts.len()), (1, 0), "nothing was kept");
}
