//! The natural logarithm of many values at once.

/// The natural logarithm of a normal, positive, finite number, to within 2 units in the last place.
///
/// The standard library's is a call per value that keeps the loop around it scalar; this one is
/// straight-line arithmetic, which compiles to vector instructions, and gives the same digits on
/// every machine.
///
/// # Source
/// The reduction and coefficients of `logf` in the Cephes library (S. Moshier, 1989).
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    const COEFFICIENTS: [f32; 9] = [
        7.037_683_629_2e-2,
        -1.151_461_031_0e-1,
        1.167_699_874_0e-1,
        -1.242_014_084_6e-1,
        1.424_932_278_7e-1,
        -1.666_805_766_5e-1,
        2.000_071_476_5e-1,
        -2.499_999_399_3e-1,
        3.333_333_117_4e-1,
    ];
    // ln 2 in two parts: the first has few digits, so that its product with an exponent is exact.
    const LN_2_HIGH: f32 = 0.693_359_375;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // The mantissa is brought to sqrt(1/2)..sqrt(2), where the polynomial is good.
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (shifted as i32) >> 23;
    let mantissa = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS));
    let exponent = exponent as f32;
    let z = mantissa - 1.0;
    let square = z * z;
    let mut polynomial = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        polynomial = polynomial * z + coefficient;
    }
    let tail = polynomial * z * square + exponent * LN_2_LOW - 0.5 * square;
    z + tail + exponent * LN_2_HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_agrees_with_the_standard_library() {
        let mut x = 1e-37_f32;
        while x < 1e38 {
            let exact = f64::from(x).ln();
            let error = (f64::from(ln(x)) - exact).abs();
            // Two units in the last place, or of 1 near the zero at x = 1.
            assert!(
                error <= 2.4e-7 * exact.abs().max(0.5),
                "ln({x}) is off by {error}"
            );
            x *= 1.000_37;
        }
        assert_eq!(ln(1.0), 0.0);
    }
}
