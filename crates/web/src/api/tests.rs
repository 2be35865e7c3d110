//! What the API promises: every route is described, answers fit their description, errors are typed,
//! what is too large is refused at once.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::sample::{HOSTILE, World, text, world};

fn document() -> Value {
    serde_json::to_value(super::document()).expect("is JSON")
}

/// Fails unless the answer fits what the document says of this route and status.
fn fits(document: &Value, path: &str, method: &str, status: u16, answer: &Value) {
    let about = &document["paths"][path][method]["responses"][status.to_string()];
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    let schema = &about["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path} has no description of {status}");
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    let validator = jsonschema::validator_for(&whole).expect("is a schema");
    let errors: Vec<String> = validator.iter_errors(answer).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{method} {path}: {errors:#?}\n{answer:#}");
}

/// Every described route, with a request that it answers.
fn requests(world: &World) -> Vec<(&'static str, String)> {
    let record = &world.records[0];
    vec![
        ("/api/v1/ask", "/api/v1/ask?q=osa+5.2+on+vmmo+1".into()),
        ("/api/v1/ask", "/api/v1/ask?q=osa+5.2+on+vmmo+2,+64+vcpu".into()),
        ("/api/v1/ask", "/api/v1/ask?q=vmmo+on+nothing".into()),
        ("/api/v1/products", "/api/v1/products".into()),
        ("/api/v1/products", "/api/v1/products?q=osa&kind=guest".into()),
        ("/api/v1/products/{product}", "/api/v1/products/osa5.2".into()),
        ("/api/v1/agreements", "/api/v1/agreements".into()),
        ("/api/v1/agreements/{agreement}", "/api/v1/agreements/deal".into()),
        (
            "/api/v1/agreements/{agreement}/obligations",
            "/api/v1/agreements/deal/obligations".into(),
        ),
        ("/api/v1/records", "/api/v1/records".into()),
        ("/api/v1/records/{digest}", format!("/api/v1/records/{record}")),
        ("/api/v1/records/{digest}/certificate", format!("/api/v1/records/{record}/certificate")),
        ("/api/v1/logs", "/api/v1/logs".into()),
        ("/api/v1/hosts/differences", "/api/v1/hosts/differences?before=vmmo1&after=vmmo2".into()),
    ]
}

#[tokio::test]
async fn every_route_answers_as_the_document_says() {
    let (world, document) = (world().await, document());
    let requests = requests(&world);
    for (path, methods) in document["paths"].as_object().expect("has paths") {
        // Those of a desk need somebody; the desk's tests try them.
        let of_desk = path.starts_with(crate::desk::api::ROOT);
        let posted = of_desk || methods.get("post").is_some();
        assert!(posted || requests.iter().any(|(route, _)| route == path), "{path} is not tried");
    }
    for (route, address) in requests {
        let (status, body) = world.get(&address).await;
        assert_eq!(status, StatusCode::OK, "{address}: {body}");
        if !route.ends_with("/certificate") {
            let answer = serde_json::from_str(&body).expect("is JSON");
            fits(&document, route, "get", 200, &answer);
        }
    }
}

#[tokio::test]
async fn a_definition_is_answered_like_the_question_that_it_asks() {
    let (world, document) = (world().await, document());
    let machine = |told: &str| {
        format!(
            "<domain type='kvm'><name>vm</name><memory unit='GiB'>2</memory><vcpu>2</vcpu>\
             <os><type arch='x86_64'{told}>hvm</type></os></domain>"
        )
    };
    let definition = machine(" machine='q35'");
    let post = |query: &str, body: Body| {
        Request::post(format!("/api/v1/check-vm{query}")).body(body).expect("is a request")
    };
    let response = world.ask(post("?guest=osa+5.2&host=vmmo+1", definition.clone().into())).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = serde_json::from_str(&text(response).await).expect("is JSON");
    fits(&document, "/api/v1/check-vm", "post", 200, &answer);
    assert_eq!(answer["verdict"], "validated", "{answer:#}");
    assert_eq!(answer["asked"]["vcpus"], 2);
    // Of what the definition does not tell, the record says nothing.
    let response = world.ask(post("?guest=osa+5.2&host=vmmo+1", machine("").into())).await;
    let answer: Value = serde_json::from_str(&text(response).await).expect("is JSON");
    assert_eq!(answer["verdict"], "validated-with-limits", "{answer:#}");
    assert!(answer["limits"][0].as_str().is_some_and(|limit| limit.contains("which chipset")));
    for (query, body, words) in [
        ("", &*definition, "?guest=rhel 5.3"),
        ("?guest=osa+5.2&host=vmmo+1", "not a definition", "the definition"),
    ] {
        let response = world.ask(post(query, body.to_owned().into())).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem: Value = serde_json::from_str(&text(response).await).expect("is JSON");
        fits(&document, "/api/v1/check-vm", "post", 422, &problem);
        assert!(problem["detail"].as_str().is_some_and(|d| d.contains(words)), "{problem}");
    }
}

#[tokio::test]
async fn a_body_of_a_gibibyte_is_refused_before_it_is_read() {
    let world = world().await;
    let never = Body::from_stream(futures_util::stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<Vec<u8>, std::io::Error>>> {
            panic!("the body was read")
        },
    ));
    let request = Request::post("/api/v1/check-vm")
        .header(header::CONTENT_LENGTH, (1u64 << 30).to_string())
        .body(never)
        .expect("is a request");
    let response = world.ask(request).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    // One that does not tell its size is read until it is too large, and no further.
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&read);
    let endless = Body::from_stream(futures_util::stream::repeat_with(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(vec![b' '; 1 << 20])
    }));
    let request = Request::post("/api/v1/check-vm").body(endless).expect("is a request");
    let response = world.ask(request).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(read.load(std::sync::atomic::Ordering::Relaxed) <= 6);
}

#[tokio::test]
async fn what_cannot_be_answered_is_a_typed_problem() {
    let world = world().await;
    for (address, status) in [
        ("/api/v1/ask", 400),
        ("/api/v1/ask?q=", 400),
        ("/api/v1/nothing", 404),
        ("/api/v1/products/no-such-thing", 404),
        ("/api/v1/agreements/none", 404),
        ("/api/v1/agreements/none/obligations", 404),
        ("/api/v1/records?cursor=x", 400),
        ("/api/v1/records?limit=0", 400),
        ("/api/v1/records?limit=100000", 400),
        ("/api/v1/records?word=splendid", 400),
        ("/api/v1/records?guest=no-such-guest-anywhere", 400),
        ("/api/v1/records/zz", 404),
        ("/api/v1/records/%00", 404),
        ("/api/v1/records/0000000000000000000000000000000000000000000000000000000000000000", 404),
        ("/api/v1/hosts/differences?before=vmmo1&after=osa5.2", 404),
        ("/api/v1/records/'%20OR%201=1--/certificate", 404),
    ] {
        let (found, body) = world.get(address).await;
        assert_eq!(found.as_u16(), status, "{address}: {body}");
        let problem: Value = serde_json::from_str(&body).expect("is JSON");
        assert_eq!(problem["status"], status, "{address}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{address}");
    }
}

#[tokio::test]
async fn records_are_paged_without_loss_and_filtered() {
    let world = world().await;
    let mut cursor = String::new();
    let mut seen = Vec::new();
    loop {
        let (_, body) = world.get(&format!("/api/v1/records?limit=1{cursor}")).await;
        let page: Value = serde_json::from_str(&body).expect("is JSON");
        let records = page["records"].as_array().expect("is a list");
        seen.extend(records.iter().map(|r| r["digest"].as_str().expect("is text").to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let newest_first: Vec<String> = world.records.iter().rev().cloned().collect();
    assert_eq!(seen, newest_first);
    for (query, expected) in [
        ("word=failed", vec![1]),
        ("word=valid&guest=osa+5.2", vec![0]),
        ("guest=osa+5.2", vec![1, 0]),
        ("host=vmmo+1", vec![2, 0]),
        ("party=b.example&host=vmmo+2", vec![1]),
        ("party=nobody.example", vec![]),
        ("party='%20OR%20'1'='1", vec![]),
    ] {
        let (status, body) = world.get(&format!("/api/v1/records?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{query}: {body}");
        let page: Value = serde_json::from_str(&body).expect("is JSON");
        let found: Vec<&str> = page["records"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|record| record["digest"].as_str())
            .collect();
        let expected: Vec<&str> =
            expected.iter().map(|at: &usize| world.records[*at].as_str()).collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn who_has_the_state_already_is_told_so() {
    let world = world().await;
    let get = |tag: Option<&str>| {
        let mut request = Request::get("/api/v1/records");
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        request.body(Body::empty()).expect("is a request")
    };
    let first = world.ask(get(None)).await;
    let tag = first.headers()[header::ETAG].to_str().expect("is text").to_owned();
    assert_eq!(world.ask(get(Some(&tag))).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(world.ask(get(Some("W/\"other\""))).await.status(), StatusCode::OK);
}

/// Calls that answer for a day.
const OF_A_DAY: [&str; 5] = [
    "/api/v1/ask?q=osa+5.2+on+vmmo+2",
    "/api/v1/agreements/deal/obligations?",
    "/api/v1/records?",
    "/api/v1/records/RECORD?",
    "/api/v1/hosts/differences?before=vmmo1&after=vmmo2",
];

fn on(world: &World, address: &str, day: &str) -> String {
    format!("{address}&as_of={day}").replace("?&", "?").replace("RECORD", &world.records[0])
}

#[tokio::test]
async fn on_another_day_nothing_is_known_that_was_said_later() {
    let world = world().await;
    let get = async |address: &str, day: &str| -> Value {
        let (status, body) = world.get(&on(&world, address, day)).await;
        assert_eq!(status, StatusCode::OK, "{address} {day}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("is JSON");
        let told = answer.get("as_of").or_else(|| answer.get("as-of"));
        assert!(told.is_none_or(|told| told == day), "{answer:#}");
        answer
    };
    // The failure is of 2022-03-01, and the pair is owed by 2022-07-01.
    let [ask, obligations, records, record, differences] = OF_A_DAY;
    assert_eq!(get(ask, "2022-02-28").await["verdict"], "pending");
    assert_eq!(get(ask, "2022-03-01").await["verdict"], "failed");
    for (day, fulfilled) in [("2022-01-31", 0), ("2022-02-01", 1)] {
        let plan = get(&format!("{obligations}state=fulfilled"), day).await;
        assert_eq!(plan["obligations"].as_array().map(Vec::len), Some(fulfilled), "{day}");
    }
    let count = |page: Value| page["records"].as_array().map(Vec::len);
    assert_eq!(count(get(records, "2022-01-31").await), Some(0));
    assert_eq!(count(get(records, "2022-02-01").await), Some(1));
    assert_eq!(count(get(records, "2022-06-01").await), Some(3));
    assert_eq!(get(record, "2022-02-01").await["stands"], "valid");
    assert_eq!(get(record, "2024-01-01").await["stands"], "lapsed");
    let (status, body) = world.get(&on(&world, record, "2022-01-31")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("it is known from 2022-02-0"), "{body}");
    let becomes = |answer: Value| answer["guests"][0]["becomes"].clone();
    assert_eq!(becomes(get(differences, "2022-02-28").await), "untried");
    assert_eq!(becomes(get(differences, "2022-06-01").await), "regression");
    // Days on which the calendar begins and ends break nothing.
    for address in OF_A_DAY {
        get(address, "2999-12-31").await;
        let (status, body) = world.get(&on(&world, address, "1970-01-01")).await;
        assert!(status == StatusCode::OK || status == StatusCode::NOT_FOUND, "{body}");
        for far in ["9999-12-31", "0000-01-01"] {
            let (status, body) = world.get(&on(&world, address, far)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(body.contains("1970 to 2999"), "{body}");
        }
    }
    let definition = "<domain><name>vm</name><os><type>hvm</type></os></domain>";
    for (day, verdict) in [("2022-02-28", "pending"), ("2022-03-01", "failed")] {
        let address = format!("/api/v1/check-vm?guest=osa+5.2&host=vmmo+2&as_of={day}");
        let request = Request::post(address).body(definition.into()).expect("is a request");
        let answer: Value =
            serde_json::from_str(&text(world.ask(request).await).await).expect("is JSON");
        assert_eq!(answer["verdict"], verdict, "{answer:#}");
    }
}

#[tokio::test]
async fn what_is_no_day_is_a_problem_that_says_what_to_write() {
    let (world, document) = (world().await, document());
    let routes = ["ask", "agreements/{agreement}/obligations", "records", "records/{digest}"];
    let routes = routes.into_iter().chain(["hosts/differences"]);
    for (address, route) in OF_A_DAY.into_iter().zip(routes) {
        let route = format!("/api/v1/{route}");
        let parameters = document["paths"][&route]["get"]["parameters"].as_array();
        let as_of = parameters.into_iter().flatten().find(|p| p["name"] == "as_of");
        assert_eq!(as_of.expect("is described")["required"], false, "{route}");
        for day in ["today", "", "2022-02-30", "2022-6-1", "-009999-01-01", "%3Cb%3E"] {
            let (status, body) = world.get(&on(&world, address, day)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{address} {day}: {body}");
            let problem = serde_json::from_str(&body).expect("is JSON");
            fits(&document, &route, "get", 400, &problem);
            let detail = problem["detail"].as_str().expect("is text");
            assert!(detail.contains("write the day as YYYY-MM-DD"), "{detail}");
        }
    }
    let post = "/api/v1/check-vm?guest=osa+5.2&host=vmmo+2&as_of=today";
    let request = Request::post(post).body(Body::empty()).expect("is a request");
    assert_eq!(world.ask(request).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_state_that_somebody_has_is_of_a_day() {
    let world = world().await;
    let get = async |day: &str, tag: Option<&str>| {
        let request = Request::get(on(&world, OF_A_DAY[0], day));
        let request = tag.into_iter().fold(request, |r, tag| r.header(header::IF_NONE_MATCH, tag));
        world.ask(request.body(Body::empty()).expect("is a request")).await
    };
    let tag = async |day| {
        let response = get(day, None).await;
        response.headers()[header::ETAG].to_str().expect("is text").to_owned()
    };
    let (before, after) = (tag("2022-02-28").await, tag("2022-03-01").await);
    assert_ne!(before, after);
    assert_eq!(get("2022-02-28", Some(&before)).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get("2022-03-01", Some(&before)).await.status(), StatusCode::OK);
    // To name the site's own day is to name none.
    let (_, plain) = world.get(OF_A_DAY[0]).await;
    assert_eq!(text(get("2022-06-01", None).await).await, plain);
    for known in [&before, "*"] {
        let refused = get("today", Some(known)).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{known}");
        assert!(refused.headers().get(header::ETAG).is_none());
    }
}

#[tokio::test]
async fn the_page_of_the_api_needs_no_script_and_names_every_route() {
    let world = world().await;
    for address in ["/api/v1", "/api/v1/"] {
        let (status, page) = world.get(address).await;
        assert_eq!(status, StatusCode::OK);
        assert!(!page.contains("<script"));
        for path in document()["paths"].as_object().expect("has paths").keys() {
            assert!(page.contains(path.as_str()), "{path}");
        }
    }
    let (status, body) = world.get("/api/v1/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let served: Value = serde_json::from_str(&body).expect("is JSON");
    assert_eq!(served["info"]["title"], "Hospitium catalog");
    assert!(served["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
}

#[tokio::test]
async fn hostile_names_stay_text() {
    let world = world().await;
    let (status, body) = world.get(&format!("/api/v1/records/{}", world.records[2])).await;
    assert_eq!(status, StatusCode::OK);
    let record: Value = serde_json::from_str(&body).expect("is JSON");
    assert_eq!(record["guest"], HOSTILE);
}
