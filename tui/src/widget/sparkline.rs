//! Round trips in one row: a column for each probe, the newest at the right edge.
//!
//! ```text
//! ▂▂▃▂▂✗▂▃▇▂▂
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

use crate::cost;
use crate::glyph::Glyphs;
use crate::theme::Theme;

/// Columns by height. The lowest is drawn, too: ratatui's own sparkline leaves small values out. None fills its cell, so
/// that those of two rows of a table stay apart.
const BARS: [&str; 7] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇"];
/// The same without blocks.
const ASCII_BARS: [&str; 7] = ["_", ".", "-", "~", "=", "%", "#"];
/// Share of the samples that the scale holds; of the rest one would flatten all others.
const HELD: f64 = 0.9;
/// A scale never ends below this (milliseconds): the jitter of a good link is not a mountain range.
const LEAST_MS: f32 = 4.0;

/// The last round trips of a link.
pub struct RttSpark<'a> {
    /// Round trips in milliseconds, the oldest first; `None` is a probe that was missed.
    pub samples: &'a [Option<f32>],
    /// Colours.
    pub theme: &'a Theme,
    /// Characters.
    pub glyphs: Glyphs,
}

/// The highest value of a scale that most samples fit in: a quarter above the 90th percentile, or the highest one if
/// that is lower.
pub(crate) fn robust_max(samples: impl Iterator<Item = f32>) -> f32 {
    let mut sorted: Vec<f32> = samples.filter(|sample| sample.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let Some(highest) = sorted.last() else { return 0.0 };
    let held = sorted[((sorted.len() - 1) as f64 * HELD).round() as usize];
    (held * 1.25).min(*highest)
}

impl Widget for &RttSpark<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return;
        }
        let shown = &self.samples[self.samples.len().saturating_sub(area.width.into())..];
        let max = robust_max(shown.iter().copied().flatten()).max(LEAST_MS);
        let bars = if self.glyphs == Glyphs::Ascii { ASCII_BARS } else { BARS };
        let left = area.right() - shown.len() as u16;
        for (x, sample) in (left..).zip(shown) {
            let (symbol, style) = match sample {
                None => (self.glyphs.path(wgnet_api::PathKind::Unreachable), self.theme.bad),
                Some(ms) => {
                    // Casts of floats to integers saturate, and turn what is no number into 0.
                    let level = (ms / max * BARS.len() as f32) as usize;
                    (bars[level.min(BARS.len() - 1)], self.theme.heat[cost::of_rtt((*ms).into())])
                }
            };
            buf[(x, area.y)].set_symbol(symbol).set_style(style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(samples: &[Option<f32>], width: u16, glyphs: Glyphs) -> Buffer {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, 1));
        (&RttSpark { samples, theme: &Theme::dark(), glyphs }).render(buf.area, &mut buf);
        buf
    }

    fn text(buf: &Buffer) -> String {
        buf.content().iter().map(|cell| cell.symbol()).collect()
    }

    #[test]
    fn the_newest_is_at_the_right_edge_and_missed_probes_are_seen() {
        let samples = [Some(10.0), None, Some(40.0), Some(20.0)];
        let buf = drawn(&samples, 6, Glyphs::Unicode);
        assert_eq!(text(&buf), "  ▂✗▇▄");
        let bad = Theme::dark().bad;
        assert_eq!((buf[(3, 0)].fg, buf[(2, 0)].fg == bad.fg.expect("a colour")), (bad.fg.expect("a colour"), false));
        assert_eq!(text(&drawn(&samples, 3, Glyphs::Unicode)), "✗▇▄");
        assert_eq!(text(&drawn(&samples, 6, Glyphs::Ascii)), "  .x#~");
    }

    #[test]
    fn one_outlier_does_not_flatten_the_others() {
        let mut samples = vec![Some(20.0); 30];
        samples[29] = Some(5_000.0);
        let text = text(&drawn(&samples, 30, Glyphs::Unicode));
        assert!(text.starts_with("▆▆▆") && text.ends_with('▇'), "{text}");
    }

    #[test]
    fn nothing_strange_breaks_it() {
        let strange = [Some(f32::NAN), Some(-1.0), Some(f32::INFINITY), Some(0.0), None];
        assert_eq!(text(&drawn(&strange, 5, Glyphs::Unicode)), "▁▁▇▁✗");
        assert_eq!(text(&drawn(&[], 3, Glyphs::Unicode)), "   ");
        drawn(&strange, 0, Glyphs::Unicode);
    }
}
