use axum::http::Request;
use tower::ServiceExt as _;

use super::*;

#[tokio::test]
async fn a_large_bundle_goes_out_in_pieces_and_so_many_at_once() {
    let top = tempfile::tempdir().expect("a folder");
    let file = top.path().join("tile/entries/000");
    std::fs::create_dir_all(file.parent().expect("has one")).expect("made");
    let bytes: Vec<u8> = (0..3_u32 << 20).map(|n| (n % 251) as u8).collect();
    std::fs::write(&file, &bytes).expect("written");
    let policy = Policy::parse("none", b"quorum none\n").expect("a policy");
    let routes = routes(Arc::new(Publisher::new(top.path(), policy)));
    let get = || async {
        let request = Request::get("/tile/entries/000").body(Body::empty()).expect("a request");
        routes.clone().oneshot(request).await.expect("is answered")
    };

    let answer = get().await;
    assert_eq!(answer.headers()[header::CONTENT_LENGTH], bytes.len().to_string());
    let mut pieces = answer.into_body().into_data_stream();
    let mut got = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.expect("reads");
        assert!(piece.len() <= PIECE, "{} bytes at once", piece.len());
        got.extend_from_slice(&piece);
    }
    drop(pieces);
    assert!(got == bytes, "other bytes came");

    let mut held = Vec::new();
    for _ in 0..256 {
        let answer = get().await;
        assert_eq!(answer.status(), StatusCode::OK);
        held.push(answer);
    }
    assert_eq!(get().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(held.pop());
    assert_eq!(get().await.status(), StatusCode::OK);
}
