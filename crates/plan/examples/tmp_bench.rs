use hospitium_plan::covering::*;
fn main() {
    let dir = std::env::var("HOSPITIUM_COVERING_MODELS").unwrap();
    let args: Vec<String> = std::env::args().collect();
    let t: usize = args[1].parse().unwrap();
    let iters: u64 = args[2].parse::<u64>().unwrap() * 1_000_000;
    let seeds: u64 = args[3].parse().unwrap();
    let mut names: Vec<String> = args[4..].to_vec();
    if names.is_empty() {
        names = ["spins","gcc","bugzilla","Banking1","Banking2","CommProtocol","Insurance","NetworkMgmt","Services","Storage5","Telecom"].map(String::from).to_vec();
    }
    for n in names {
        let m = std::fs::read_to_string(format!("{dir}/{n}.model")).unwrap();
        let c = std::fs::read_to_string(format!("{dir}/{n}.constraints")).unwrap();
        let model = read_casa((&n, &m), Some((&n, &c))).unwrap();
        for seed in 1..=seeds {
            let begun = std::time::Instant::now();
            let a = Generator::new(&model).strength(t).iterations(iters).seed(seed).generate().unwrap();
            if std::env::var_os("VERIFY").is_some() { let b=std::time::Instant::now(); let c = verify(&model, t, &a.rows).unwrap(); assert!(c.is_complete(), "{c}"); assert_eq!((c.combinations,c.infeasible),(a.tuples,a.infeasible_tuples)); assert!(c.infeasible_settings.iter().map(|i| &i.settings).collect::<std::collections::BTreeSet<_>>()==a.infeasible.iter().map(|i| &i.settings).collect()); assert!(c.infeasible_settings.iter().map(|i| i.because.len()).sum::<usize>() < 100000); println!("verified in {:.2}s: {c}", b.elapsed().as_secs_f64()); }
            println!("{n} t={t} seed={seed} rows={} bound={} infeasible={} ({}) work={}M {:.2}s", a.rows.len(), a.lower_bound, a.infeasible_tuples, a.infeasible.len(), a.iterations/1_000_000, begun.elapsed().as_secs_f64());
        }
    }
}
