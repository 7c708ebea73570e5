//! Tables: columns as wide as their widest cell, readable without colour, as narrow as the terminal if that cuts only what is long.

/// Fewest columns of a cell and spaces between two, as Docker's tables have them.
const NARROWEST: usize = 10;
const GAP: usize = 3;
/// No cell is cut below this: ids, names and published ports stay whole, to be copied into the next command.
const READABLE: usize = 24;

/// Rows below a heading.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Starts a table with its heading.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Leaves out columns, the first of `least` first, until what remains is not wider than `width`.
    pub(crate) fn leave_out(&mut self, least: &[&str], width: Option<usize>) {
        let Some(width) = width else { return };
        for heading in least {
            if padded(&self.widths()) <= width {
                return;
            }
            if let Some(column) = self.rows[0].iter().position(|cell| cell == heading) {
                self.rows.iter_mut().filter(|row| column < row.len()).for_each(|row| drop(row.remove(column)));
            }
        }
    }

    /// Returns the lines. Where `width` is too small the widest columns are cut, down to what names take, and what was cut
    /// ends in `…`.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let mut widths = self.widths();
        while let Some(limit) = width
            && padded(&widths) > limit
        {
            let Some((widest, length)) = widths.iter().copied().enumerate().max_by_key(|(_, length)| *length) else {
                break;
            };
            if length <= READABLE {
                break;
            }
            widths[widest] = length - 1;
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&fit(cell, *width));
                let shown = cell.chars().count().min(*width);
                line.extend(std::iter::repeat_n(' ', (width + GAP).max(NARROWEST) - shown));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        (0..columns).map(|column| self.widest(column)).collect()
    }

    fn widest(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

/// Returns the columns that cells of these widths take together with what is between them.
fn padded(widths: &[usize]) -> usize {
    let inner = widths.iter().rev().skip(1).map(|width| (width + GAP).max(NARROWEST)).sum::<usize>();
    inner + widths.last().copied().unwrap_or(0)
}

/// Cuts `text` to `width` characters; a cut text ends in `…`.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "IMAGE", "COMMAND", "PORTS"]);
        let cells = ["shop-web-1", "shop-web", "\"python app.py --with --many --flags\"", "0.0.0.0:5000->5000/tcp"];
        table.row(cells.map(str::to_owned));
        table.row(["shop-db-1", "redis:7", "\"redis-server\"", ""].map(str::to_owned));
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        expect![[r#"
            NAME         IMAGE      COMMAND                                 PORTS
            shop-web-1   shop-web   "python app.py --with --many --flags"   0.0.0.0:5000->5000/tcp
            shop-db-1    redis:7    "redis-server"
        "#]]
        .assert_eq(&table().render(None));
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest_columns_but_no_name() {
        let text = table().render(Some(76));
        assert!(text.lines().all(|line| line.chars().count() <= 76), "{text}");
        assert!(text.contains("shop-web-1") && text.contains('…'), "{text}");
        let narrow = table().render(Some(40));
        assert!(narrow.contains("0.0.0.0:5000->5000/tcp"), "{narrow}");
    }

    #[test]
    fn the_least_columns_are_left_out_before_anything_is_cut() {
        let mut table = table();
        table.leave_out(&["COMMAND", "IMAGE"], Some(60));
        expect![[r#"
            NAME         IMAGE      PORTS
            shop-web-1   shop-web   0.0.0.0:5000->5000/tcp
            shop-db-1    redis:7
        "#]]
        .assert_eq(&table.render(Some(60)));
    }

    #[test]
    fn a_text_is_cut_by_characters() {
        assert_eq!(fit("用户创建成功", 4), "用户创…");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abc", 0), "");
    }
}
