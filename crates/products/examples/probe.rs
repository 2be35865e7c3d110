use hospitium_products::*;
fn main() {
    let t = std::time::Instant::now();
    let mut s = Sources::of_this_system();
    s.endoflife = std::env::var("HOSPITIUM_ENDOFLIFE").ok();
    let p = Products::load(&s).unwrap();
    eprintln!("load {:?} {} products", t.elapsed(), p.len());
    for q in std::env::args().skip(1) {
        let t = std::time::Instant::now();
        let f = p.search(&q);
        eprintln!("{:?} {:?} decided {}", t.elapsed(), f.query, f.decided);
        for c in f.candidates {
            eprintln!("  {} {} {:?}", c.distance, c.product.short(), c.reasons);
        }
    }
}
