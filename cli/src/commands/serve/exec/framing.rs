//! Where one frame ends and the next begins, in a program's output and in its input.

use std::fmt;

use super::super::config::{ExecOutput, Input};

/// Cuts a program's output into frames.
#[derive(Debug)]
pub(super) struct Cutter {
    how: ExecOutput,
    /// The longest frame, in bytes.
    most: usize,
    /// What came of the next frame; of a chunk, with its length before it.
    partial: Vec<u8>,
}

/// Why there can be no further frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A line is longer than this.
    LongLine(usize),
    /// A chunk says that it is so long, and may be so long.
    LongChunk(u32, usize),
    /// The output ended within a chunk.
    HalfChunk,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongLine(most) => write!(
                f,
                "the program wrote a line of more than {most} bytes; `max_frame` limits it"
            ),
            Self::LongChunk(len, most) => write!(
                f,
                "the program wrote a chunk of {len} bytes, and `max_frame` is {most}; is each \
                 behind its length in four bytes, big-endian?"
            ),
            Self::HalfChunk => f.write_str("the program's output ended within a chunk"),
        }
    }
}

impl Cutter {
    pub(super) const fn new(how: ExecOutput, most: usize) -> Self {
        Self {
            how,
            most,
            partial: Vec::new(),
        }
    }

    /// Takes what came, and hands on the frames that it completes; `take` says whether it wants
    /// more.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), Broken> {
        match self.how {
            ExecOutput::Lines => self.push_lines(bytes, take),
            ExecOutput::Chunks => self.push_chunks(bytes, take),
        }
    }

    fn push_lines(&mut self, bytes: &[u8], take: &mut dyn FnMut(Vec<u8>)) -> Result<(), Broken> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (line, ends) = match piece.split_last() {
                Some((b'\n', line)) => (line, true),
                _ => (piece, false),
            };
            if self.partial.len().saturating_add(line.len()) > self.most {
                return Err(Broken::LongLine(self.most));
            }
            self.partial.extend_from_slice(line);
            if ends {
                take(std::mem::take(&mut self.partial));
            }
        }
        Ok(())
    }

    fn push_chunks(
        &mut self,
        mut bytes: &[u8],
        take: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), Broken> {
        loop {
            let wanted = match self.partial.first_chunk::<4>() {
                None => 4,
                Some(len) => {
                    let len = u32::from_be_bytes(*len);
                    match usize::try_from(len) {
                        Ok(len) if len <= self.most => len + 4,
                        _ => return Err(Broken::LongChunk(len, self.most)),
                    }
                }
            };
            let (now, later) = bytes
                .split_at_checked(wanted - self.partial.len())
                .unwrap_or((bytes, &[]));
            self.partial.extend_from_slice(now);
            bytes = later;
            if self.partial.len() < wanted {
                return Ok(());
            }
            // With the length alone it is known only now how long the chunk is: an empty one ends
            // here.
            let is_whole = self.partial.len() > 4 || self.partial == [0; 4];
            if is_whole {
                let mut whole = std::mem::take(&mut self.partial);
                whole.drain(..4);
                take(whole);
            }
        }
    }

    /// The output has ended: what came of a line without an end is the last frame.
    pub(super) fn end(self) -> Result<Option<Vec<u8>>, Broken> {
        match self.how {
            _ if self.partial.is_empty() => Ok(None),
            ExecOutput::Lines => Ok(Some(self.partial)),
            ExecOutput::Chunks => Err(Broken::HalfChunk),
        }
    }
}

/// A frame as the program's stdin has it. `None` when lines are asked for, and it is not one.
pub(super) fn framed(how: Input, mut payload: Vec<u8>) -> Option<Vec<u8>> {
    match how {
        Input::None => Some(payload),
        Input::Lines if payload.contains(&b'\n') => None,
        Input::Lines => {
            payload.push(b'\n');
            Some(payload)
        }
        Input::Chunks => {
            let len = u32::try_from(payload.len()).ok()?;
            let mut chunk = len.to_be_bytes().to_vec();
            chunk.append(&mut payload);
            Some(chunk)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All frames of `output`, however it is cut on its way.
    fn cut(how: ExecOutput, most: usize, output: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
        let mut results = (1..=output.len().max(1)).map(|step| {
            let mut frames = Vec::new();
            let mut cutter = Cutter::new(how, most);
            for piece in output.chunks(step) {
                cutter.push(piece, &mut |frame| frames.push(frame))?;
            }
            frames.extend(cutter.end()?);
            Ok(frames)
        });
        let first = results.next().expect("there is a step");
        for other in results {
            assert_eq!(other, first);
        }
        first
    }

    #[test]
    fn each_line_is_a_frame_and_the_last_needs_no_end() {
        let frames = cut(ExecOutput::Lines, 5, b"one\n\ntwo \r\nthree").expect("good");
        assert_eq!(frames, [&b"one"[..], b"", b"two \r", b"three"]);
        assert_eq!(cut(ExecOutput::Lines, 5, b""), Ok(vec![]));
        assert_eq!(cut(ExecOutput::Lines, 5, b"\n"), Ok(vec![vec![]]));
    }

    #[test]
    fn a_line_over_the_limit_is_refused_before_it_is_held() {
        assert!(cut(ExecOutput::Lines, 5, b"12345\n12345").is_ok());
        for output in [&b"123456\n"[..], b"ok\n123456"] {
            assert_eq!(cut(ExecOutput::Lines, 5, output), Err(Broken::LongLine(5)));
        }
    }

    #[test]
    fn each_chunk_is_a_frame_empty_ones_too() {
        let output = b"\0\0\0\x03a\nb\0\0\0\0\0\0\0\x01c";
        let frames = cut(ExecOutput::Chunks, 5, output).expect("good");
        assert_eq!(frames, [&b"a\nb"[..], b"", b"c"]);
    }

    #[test]
    fn chunks_that_are_too_long_or_cut_off_are_refused() {
        let chunks = |output| cut(ExecOutput::Chunks, 5, output);
        assert_eq!(chunks(b"\0\0\0\x06"), Err(Broken::LongChunk(6, 5)));
        assert_eq!(
            chunks(b"\xff\xff\xff\xff"),
            Err(Broken::LongChunk(u32::MAX, 5))
        );
        for output in [&b"\0"[..], b"\0\0\0\x05", b"\0\0\0\x05abcd"] {
            assert_eq!(chunks(output), Err(Broken::HalfChunk));
        }
    }

    #[test]
    fn a_frame_cannot_pass_for_two_lines() {
        assert_eq!(framed(Input::Lines, b"a\nb".into()), None);
        assert_eq!(framed(Input::Lines, b"ab".into()), Some(b"ab\n".into()));
        let chunk = framed(Input::Chunks, b"a\nb".into());
        assert_eq!(chunk, Some(b"\0\0\0\x03a\nb".into()));
    }
}
