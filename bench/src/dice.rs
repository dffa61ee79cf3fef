//! Seeded choices: every corpus is made of these, so that a seed names it.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded source of choices.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The source number `number` of a seed: each is independent of the others.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Dice(rng)
    }

    /// A number below `bound`, which is not 0. The bias of the multiplication is below 2^-32 for all bounds here.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// True so many times in a thousand.
    pub(crate) fn per_mille(&mut self, chance: usize) -> bool {
        self.below(1000) < chance
    }

    /// At least `low`, below `high`.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low)
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A number below `bound`, small ones far more often: about as words are used in text (Zipf).
    pub(crate) fn skewed(&mut self, bound: usize) -> usize {
        let unit = self.unit();
        ((unit * unit * unit * bound as f64) as usize).min(bound - 1)
    }

    /// At least 0, below 1.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Mean 0, variance 1: nearly normal, as the sum of twelve uniform numbers (Irwin and Hall).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Log-normal with median 1 and this spread of the logarithm.
    pub(crate) fn log_normal(&mut self, sigma: f64) -> f64 {
        (self.normal() * sigma).exp()
    }

    /// Bytes that nothing compresses.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_number_name_the_choices() {
        let draw = |seed, number| (0..8).map(|_| Dice::new(seed, number).below(1 << 40)).collect::<Vec<_>>();
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(2, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
    }

    #[test]
    fn choices_have_the_shape_that_they_promise() {
        let mut dice = Dice::new(1, 0);
        let draws = 20_000;
        let logs: Vec<f64> = (0..draws).map(|_| dice.log_normal(1.5).ln()).collect();
        let mean = logs.iter().sum::<f64>() / f64::from(draws);
        let spread = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / f64::from(draws)).sqrt();
        assert!(mean.abs() < 0.05 && (spread - 1.5).abs() < 0.05, "mean {mean}, spread {spread}");
        let small = (0..draws).filter(|_| dice.skewed(1000) < 125).count();
        assert!((small as f64 / f64::from(draws) - 0.5).abs() < 0.02, "half lie in the first eighth: {small}");
        assert!((0..draws).all(|_| (3..9).contains(&dice.between(3, 9))));
    }
}
