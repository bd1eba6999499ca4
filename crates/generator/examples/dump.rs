//! temporary
use std::io::Write;
fn main() {
    let mut arguments = std::env::args().skip(1);
    let patients = arguments.next().unwrap().parse().unwrap();
    let seed = arguments.next().unwrap().parse().unwrap();
    let options = portcullis_generator::Options { patients, seed, as_of: portcullis_generator::Date::constant(2026, 10, 1) };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let start = std::time::Instant::now();
    let mut n = 0usize;
    for r in portcullis_generator::generate(&options) {
        writeln!(out, "{}", r.json).unwrap();
        n += 1;
    }
    eprintln!("{n} resources in {:?}, {:.0}/s", start.elapsed(), n as f64 / start.elapsed().as_secs_f64());
}
