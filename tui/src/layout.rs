//! Where things are: a pure function of the size of the terminal, so that what was clicked can be told from it.

use ratatui::layout::Rect;

use crate::model::Screen;

/// The parts of the screen. In a small terminal some have no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which node, how it is, how much is reachable.
    pub header: Rect,
    /// Which screens there are.
    pub tabs: Rect,
    /// A line between them and the body.
    pub rule: Rect,
    /// The screen.
    pub body: Rect,
    /// Keys, or what was just said.
    pub footer: Rect,
}

/// The parts of a terminal of this size.
pub fn frame(area: Rect) -> Frame {
    let header = u16::from(area.height >= 3);
    let footer = u16::from(area.height >= 4);
    let tabs = u16::from(area.height >= 8);
    let rule = u16::from(area.height >= 20);
    let body = area.height.saturating_sub(header + footer + tabs + rule);
    let row = |y: u16, height: u16| Rect { x: area.x, y: area.y + y, width: area.width, height };
    Frame {
        header: row(0, header),
        tabs: row(header, tabs),
        rule: row(header + tabs, rule),
        body: row(header + tabs + rule, body),
        footer: row(header + tabs + rule + body, footer),
    }
}

/// The tabs with the columns they take: with titles, or with numbers only where those do not fit.
pub fn tabs(width: u16) -> Vec<(Screen, u16, String)> {
    let full = |number: usize, screen: Screen| format!(" {number} {} ", screen.title());
    let short = |number: usize, screen: Screen| format!(" {number} {} ", &screen.title()[..3]);
    let bare = |number: usize, _: Screen| format!(" {number} ");
    let least = |number: usize, _: Screen| format!(" {number}");
    let all = |label: &dyn Fn(usize, Screen) -> String| -> Vec<(Screen, u16, String)> {
        let mut x = 0;
        let place = |(index, screen): (usize, Screen)| {
            let text = label(index + 1, screen);
            let at = x;
            x += text.len() as u16;
            (screen, at, text)
        };
        Screen::ALL.into_iter().enumerate().map(place).collect()
    };
    let fits =
        |tabs: &Vec<(Screen, u16, String)>| tabs.last().is_some_and(|(_, x, text)| *x + text.len() as u16 <= width);
    [all(&full), all(&short), all(&bare)].into_iter().find(fits).unwrap_or_else(|| all(&least))
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<C> {
    /// What it shows.
    pub what: C,
    /// Cells that it needs.
    pub least: u16,
    /// Cells that it makes use of where there is room.
    pub most: u16,
    /// The lowest go first where there is no room.
    pub rank: u8,
}

/// Which columns there are in so many cells, and how wide each is, with one cell between two. Depends on the width
/// alone, never on what the rows hold.
pub fn columns<C: Copy>(all: &[Column<C>], width: u16) -> Vec<(C, u16)> {
    let mut kept: Vec<Column<C>> = all.to_vec();
    let need =
        |columns: &[Column<C>]| -> u16 { columns.iter().map(|column| column.least + 1).sum::<u16>().saturating_sub(1) };
    while need(&kept) > width && kept.len() > 1 {
        let last = kept.iter().enumerate().min_by_key(|(_, column)| column.rank).map_or(0, |(index, _)| index);
        kept.remove(last);
    }
    let mut left = width.saturating_sub(need(&kept));
    let mut widths: Vec<(C, u16)> = kept.iter().map(|column| (column.what, column.least.min(width))).collect();
    // What is left over goes to those that can use it, in rounds, so that all grow alike.
    loop {
        let mut grew = false;
        for (column, (_, cells)) in kept.iter().zip(&mut widths) {
            if left > 0 && *cells < column.most {
                *cells += 1;
                left -= 1;
                grew = true;
            }
        }
        if !grew {
            return widths;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_fill_the_terminal_without_overlap() {
        for height in 1..60 {
            let frame = frame(Rect::new(0, 0, 80, height));
            let parts = [frame.header, frame.tabs, frame.rule, frame.body, frame.footer];
            assert_eq!(parts.iter().map(|part| part.height).sum::<u16>(), height);
            assert!(parts.windows(2).all(|pair| pair[0].bottom() == pair[1].top()));
            assert!(frame.body.height >= 1);
        }
    }

    #[test]
    fn tabs_fit_or_shrink_to_numbers() {
        assert_eq!(tabs(80)[0].2, " 1 Overview ");
        assert_eq!(tabs(60)[0].2, " 1 Ove ");
        assert_eq!(tabs(20)[6].2, " 7");
    }

    #[test]
    fn columns_go_by_rank_and_share_what_is_left() {
        let column = |what, least, most, rank| Column { what, least, most, rank };
        let all = [column('n', 8, 20, 9), column('a', 10, 10, 5), column('b', 4, 4, 1)];
        assert_eq!(columns(&all, 40), [('n', 20), ('a', 10), ('b', 4)]);
        assert_eq!(columns(&all, 26), [('n', 10), ('a', 10), ('b', 4)]);
        assert_eq!(columns(&all, 23), [('n', 12), ('a', 10)]);
        assert_eq!(columns(&all, 5), [('n', 5)]);
    }
}
