//! Files that are uploaded do nothing.

use super::*;

/// What there is of attachments, whole or not.
fn kept(desk: &DeskWorld) -> Vec<String> {
    let attachments = desk.office.folder.join("attachments");
    let names = |folder: &std::path::Path| -> Vec<String> {
        let entries = fs::read_dir(folder).expect("listed");
        entries
            .map(|item| item.expect("listed").file_name().into_string().expect("UTF-8"))
            .filter(|name| name != ".partial")
            .collect()
    };
    [names(&attachments), names(&attachments.join(".partial"))].concat()
}

#[tokio::test]
async fn what_is_uploaded_is_bounded_goes_nowhere_else_and_never_runs() {
    let desk = DeskWorld::new().await;
    let ann = desk.signed("ann").await;
    let path = format!("{}/files", desk.page());
    let class: &[(&str, &str)] = &[("class", "vendor")];
    let large = vec![7; (1 << 20) + 1];
    for (name, bytes, status) in [
        ("large.bin", large.as_slice(), StatusCode::PAYLOAD_TOO_LARGE),
        ("empty.bin", b"".as_slice(), StatusCode::PAYLOAD_TOO_LARGE),
        ("", b"no name".as_slice(), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let got = ann.upload(&path, class, ("file", name, bytes)).await;
        assert_eq!(got.status, status, "{name}: {}", got.text);
    }
    let html = b"<script>alert(1)</script>";
    let got = ann.upload(&path, class, ("file", "../../../etc/pass\u{202e}wd.html", html)).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    let thread = desk.thread().await;
    let [file] = &thread.case().attachments[..] else { panic!("one file") };
    assert!(!file.file.name.as_str().contains('/'), "{}", file.file.name);
    assert_eq!(kept(&desk), [file.file.sha256.to_string()], "nothing else is left");
    let got = ann.get(&format!("{path}/{}", file.file.sha256)).await;
    assert_eq!((got.status, got.text.as_bytes()), (StatusCode::OK, html.as_slice()));
    assert_eq!(got.header("content-type"), "application/octet-stream");
    assert!(got.header("content-disposition").starts_with("attachment; filename=\""));
    assert!(got.header("content-security-policy").contains("sandbox"));
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    for bad in ["..%2F..%2Fdesk.db", &hospitium_model::Digest::of(b"x").to_string()] {
        assert_eq!(ann.get(&format!("{path}/{bad}")).await.status, StatusCode::NOT_FOUND, "{bad}");
    }
    // Nothing is kept of a form that does not say first whose it is.
    let stranger = multipart(&path, class, ("file", "a.bin", b"a stranger's"));
    assert_eq!(ann.send(stranger).await.status, StatusCode::FORBIDDEN);
    let many: Vec<(String, String)> = (0..60).map(|n| (format!("f{n}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let got = ann.send(multipart(&path, &many, ("file", "a.bin", b"x"))).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    let broken = Request::post(&path)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x")
        .body(Body::from(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf",
        ))
        .expect("a request");
    assert!(ann.send(broken).await.status.is_client_error());
    // Nor of one that the customer does not allow to be shared.
    desk.does(Side::Submitter, Deed::ConsentWithdrawn { by: words("Pat Doe") }).await;
    let got = ann.upload(&path, &[("class", "customer")], ("file", "b.bin", b"held")).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", got.text);
    assert_eq!(kept(&desk).len(), 1);
}
