//! Standard output, through one writer. A reader that has seen enough (`weir audit export … | head`) is no error.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use super::Failure;

/// What a command answers with.
pub(super) struct Output<W: Write = Stdout> {
    writer: BufWriter<W>,
    closed: bool,
}

impl Output {
    pub(super) fn new() -> Output {
        Output { writer: BufWriter::new(io::stdout()), closed: false }
    }
}

impl<W: Write> Output<W> {
    /// Writes a line.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let written = writeln!(self.writer, "{text}");
        self.settle(written)
    }

    /// Whether nobody reads any more, so that a command may end early.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Hands on what was written so far: for a command that follows something.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.writer.flush();
        self.settle(flushed)
    }

    /// Ends the output.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.flush()
    }

    fn settle(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => {
                self.closed = true;
                Err(Failure::environment(format!("standard output cannot be written: {error}")))
            }
        }
    }
}

/// Tells why a command failed. Nothing is left to do when nobody hears it.
pub(super) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "weir: {message}");
}

#[cfg(test)]
impl<W: Write> Output<W> {
    pub(super) fn over(writer: W) -> Output<W> {
        Output { writer: BufWriter::new(writer), closed: false }
    }
}

#[cfg(test)]
impl Output<Vec<u8>> {
    pub(super) fn for_test() -> Output<Vec<u8>> {
        Output::over(Vec::new())
    }

    pub(super) fn text(self) -> String {
        String::from_utf8(self.writer.into_inner().unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then fails this way.
    struct Pipe(usize, ErrorKind);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(self.1.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write(pipe: Pipe) -> (bool, Result<(), Failure>) {
        let mut output = Output::over(pipe);
        let written = (0..10_000).try_for_each(|number| output.line(number));
        (output.is_closed(), written.and_then(|()| output.finish()))
    }

    #[test]
    fn a_reader_that_leaves_is_no_error_and_a_full_disk_is() {
        let (closed, written) = write(Pipe(20_000, ErrorKind::BrokenPipe));
        assert!(closed && written.is_ok());
        let (_, written) = write(Pipe(20_000, ErrorKind::StorageFull));
        assert!(written.is_err_and(|failure| failure.code == super::super::ENVIRONMENT));
        let (closed, written) = write(Pipe(usize::MAX, ErrorKind::Other));
        assert!(!closed && written.is_ok());
    }
}
