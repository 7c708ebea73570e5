//! Files with holes, as GNU tar writes them: its old member `S`, and the PAX records `GNU.sparse.*` in their versions 0.0, 0.1
//! and 1.0. What is stored is the data alone, with a map of where it goes.
//!
//! GNU tar's manual, "Storing Sparse Files" and "Basic Tar Format".

use crate::snapshot::archive::ArchiveError;

/// More pieces than this are no honest file.
pub const MOST_PIECES: usize = 1 << 16;

/// Where stored data goes: offset and length of each piece, in order.
pub type Pieces = Vec<(u64, u64)>;

/// A file that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse {
    /// Bytes of the whole file, holes counted.
    pub size: u64,
    pieces: Pieces,
    /// The piece that comes next, and the place in the file.
    next: usize,
    at: u64,
}

/// What comes next of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// So many bytes of zeros.
    Hole(u64),
    /// So many bytes that are stored.
    Data(u64),
}

impl Sparse {
    /// Checks a map: in order, inside of the file, and of just the data that is stored.
    pub fn new(size: u64, pieces: Pieces, stored: u64) -> Result<Self, ArchiveError> {
        let damaged = ArchiveError::Damaged("the map of a sparse file");
        let (mut end, mut sum) = (0_u64, 0_u64);
        for (offset, length) in &pieces {
            let after = offset.checked_add(*length).filter(|after| *offset >= end && *after <= size);
            let Some(after) = after else { return Err(damaged) };
            (end, sum) = (after, sum + length);
        }
        if sum != stored || pieces.len() > MOST_PIECES {
            return Err(damaged);
        }
        Ok(Self { size, pieces, next: 0, at: 0 })
    }

    /// Returns the bytes that are stored.
    pub fn stored(&self) -> u64 {
        self.pieces.iter().map(|(_, length)| length).sum()
    }

    /// Says what comes next; `None`: the end.
    pub fn stretch(&mut self) -> Option<Stretch> {
        while let Some((offset, length)) = self.pieces.get(self.next) {
            if self.at < *offset {
                return Some(Stretch::Hole(offset - self.at));
            }
            if self.at < offset + length {
                return Some(Stretch::Data(offset + length - self.at));
            }
            self.next += 1;
        }
        (self.at < self.size).then_some(Stretch::Hole(self.size - self.at))
    }

    /// Moves on by what was read or skipped.
    pub fn advance(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// Returns the place in the file.
    pub fn place(&self) -> u64 {
        self.at
    }
}

/// What the records of a member say of its holes.
#[derive(Debug, Default)]
pub struct Records {
    size: Option<u64>,
    pieces: Pieces,
    /// Version 1.0: the map stands before the data.
    in_body: bool,
    name: Option<Vec<u8>>,
    any: bool,
}

impl Records {
    /// Reads one record, in the order in which they stand.
    pub fn read(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        self.any = true;
        match key {
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.size = Some(number(value)?),
            b"GNU.sparse.offset" => self.pieces.push((number(value)?, 0)),
            b"GNU.sparse.numbytes" => {
                let last = self.pieces.last_mut().ok_or(ArchiveError::Damaged("the map of a sparse file"))?;
                last.1 = number(value)?;
            }
            b"GNU.sparse.map" => {
                let numbers = value.split(|byte| *byte == b',').map(number).collect::<Result<Vec<_>, _>>()?;
                self.pieces = pairs(&numbers)?;
            }
            b"GNU.sparse.major" => self.in_body = number(value)? == 1,
            b"GNU.sparse.name" => self.name = Some(value.to_vec()),
            _ => {}
        }
        Ok(())
    }

    /// Returns the name that the file is to have; the header's own is made up.
    pub fn name(&mut self) -> Option<Vec<u8>> {
        self.name.take()
    }

    /// Says what kind of map there is.
    pub fn form(self) -> Result<Form, ArchiveError> {
        match (self.any, self.size) {
            (false, _) => Ok(Form::Whole),
            (true, None) => Err(ArchiveError::Damaged("a sparse file has no size")),
            (true, Some(size)) if self.in_body => Ok(Form::InBody { size }),
            (true, Some(size)) => Ok(Form::Mapped { size, pieces: self.pieces }),
        }
    }
}

/// Where a member's map is.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    /// There are no holes.
    Whole,
    /// In its headers.
    Mapped {
        /// Of the whole file.
        size: u64,
        /// The map.
        pieces: Pieces,
    },
    /// Before its data, in whole blocks.
    InBody {
        /// Of the whole file.
        size: u64,
    },
}

/// Reads the map that stands before the data, block by block; returns it with the bytes that it took.
pub fn map_of_body(mut block: impl FnMut() -> Result<[u8; 512], ArchiveError>) -> Result<(Pieces, u64), ArchiveError> {
    let (mut numbers, mut digits, mut taken) = (Vec::new(), Vec::new(), 0);
    loop {
        let bytes = block()?;
        taken += 512;
        for byte in bytes {
            if byte != b'\n' {
                digits.push(byte);
                continue;
            }
            numbers.push(number(&digits)?);
            digits.clear();
            let wanted = usize::try_from(numbers[0]).ok().filter(|count| *count <= MOST_PIECES);
            let wanted = wanted.ok_or(ArchiveError::Damaged("the map of a sparse file"))?;
            if numbers.len() == 1 + 2 * wanted {
                return Ok((pairs(&numbers[1..])?, taken));
            }
        }
        if digits.len() > 20 {
            return Err(ArchiveError::Damaged("the map of a sparse file"));
        }
    }
}

fn pairs(numbers: &[u64]) -> Result<Pieces, ArchiveError> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > MOST_PIECES {
        return Err(ArchiveError::Damaged("the map of a sparse file"));
    }
    Ok(pairs.iter().map(|[offset, length]| (*offset, *length)).collect())
}

fn number(text: &[u8]) -> Result<u64, ArchiveError> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
    number.filter(|it| *it <= i64::MAX.unsigned_abs()).ok_or(ArchiveError::Damaged("the map of a sparse file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_must_be_in_order_inside_the_file_and_of_what_is_stored() {
        assert!(Sparse::new(10, vec![(2, 3), (5, 5)], 8).is_ok());
        assert!(Sparse::new(10, vec![(2, 3), (4, 5)], 8).is_err());
        assert!(Sparse::new(9, vec![(2, 3), (5, 5)], 8).is_err());
        assert!(Sparse::new(10, vec![(2, 3)], 4).is_err());
        assert!(Sparse::new(10, vec![(u64::MAX, 3)], 3).is_err());
    }

    #[test]
    fn holes_and_data_come_in_turn() {
        let mut sparse = Sparse::new(10, vec![(2, 3), (10, 0)], 3).unwrap();
        let mut seen = Vec::new();
        while let Some(stretch) = sparse.stretch() {
            seen.push(stretch);
            let (Stretch::Hole(bytes) | Stretch::Data(bytes)) = stretch;
            sparse.advance(bytes);
        }
        assert_eq!(seen, [Stretch::Hole(2), Stretch::Data(3), Stretch::Hole(5)]);
    }

    #[test]
    fn a_map_before_the_data_may_be_longer_than_a_block() {
        let text: String = format!("100\n{}", (0..100).map(|n| format!("{}\n1\n", n * 1000)).collect::<String>());
        let mut bytes = text.into_bytes();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        let blocks = bytes.len() as u64;
        let mut rest = bytes.as_chunks::<512>().0.iter();
        let (pieces, taken) = map_of_body(|| Ok(*rest.next().unwrap())).unwrap();
        assert_eq!((pieces.len(), pieces[99], taken), (100, (99_000, 1), blocks));
    }
}
