//! The command `weir`.

fn main() -> std::process::ExitCode {
    weir_proxy::cli::main()
}
