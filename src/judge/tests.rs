//! The published vectors; what is random is in `tests/`.

use super::*;

fn after(polls: impl IntoIterator<Item = (usize, (u64, u64, u64, u64))>) -> (Judge, Evidence) {
    let judge = Judge::new(Policy::default()).unwrap();
    let mut evidence = Evidence::default();
    for (times, (x_c, n_c, x_s, n_s)) in polls {
        for _ in 0..times {
            judge.look(&mut evidence, &Poll::new(x_c, n_c, x_s, n_s));
        }
    }
    (judge, evidence)
}

/// The vectors of the design, to 6 digits.
#[test]
fn the_published_vectors() {
    let vectors = [
        (vec![(10, (0, 100, 1, 900))], 0.586616, 0.595947),
        (vec![(4, (5, 100, 1, 900))], 206.422003, 208.717655),
        (vec![(6, (1, 100, 1, 900))], 24.386932, 440.500254),
        (vec![(1, (50, 100, 0, 900))], 2.820794, 2.820794),
        (vec![(3, (50, 100, 450, 900))], 0.496107, 50.547210),
        (vec![(1, (0, 0, 3, 900)), (1, (4, 100, 0, 900))], 2.672519, 2.686222),
        (vec![(20, (0, 500, 0, 500))], 1.000000, 0.472064),
    ];
    for (polls, relative, floor) in vectors {
        let (judge, evidence) = after(polls.clone());
        let capital = judge.capital(&evidence);
        assert!((capital.relative - relative).abs() < 1e-6, "{polls:?}: {capital:?}");
        assert!((capital.floor - floor).abs() < 1e-6, "{polls:?}: {capital:?}");
    }
}
