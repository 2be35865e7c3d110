mod common;
use common::Lab;
use hospitium_host::conformance;
use hospitium_host::*;
#[tokio::test]
async fn scratch() {
    let lab = Lab::new().await;
    let l = conformance::Lab { host: &lab.host, folder: lab.path().to_owned() };
    let t = std::time::Instant::now();
    for p in conformance::core(&l).await {
        eprintln!("{:?} {p}", t.elapsed());
    }
    let dir = |n: &str| {
        let f = lab.path().join(n);
        std::fs::create_dir(&f).unwrap();
        WorkDir { name: n.into(), folder: f }
    };
    let mut spec = l.spec();
    spec.generation_id = Some("324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87".into());
    let m = lab.host.define(&spec, &dir("x")).await.unwrap();
    eprintln!("{:?} defined", t.elapsed());
    m.power(PowerVerb::On).await.unwrap();
    eprintln!("{:?} on", t.elapsed());
    eprintln!("{:?}", m.look().await.unwrap());
    eprintln!("{:?} looked", t.elapsed());
    eprintln!("{:?}", m.said());
    let s = m.saving().unwrap().snapshot(&lab.path().join("snap")).await.unwrap();
    eprintln!("{:?} saved", t.elapsed());
    let c = lab.host.cloning().unwrap().restore(&s, Generation::Fresh, &dir("y")).await.unwrap();
    eprintln!("{:?} restored", t.elapsed());
    eprintln!("{:?}", c.look().await.unwrap());
    let r = c.power(PowerVerb::Resume).await;
    eprintln!("{:?} {r:?}", t.elapsed());
    eprintln!("{:?}", c.look().await.unwrap());
    eprintln!("{:?}", c.events());
    c.finish().await.unwrap();
    eprintln!("{:?} finished", t.elapsed());
}
