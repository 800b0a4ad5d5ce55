//! Authorities and certificates for the TLS tests, made by `openssl`, as an operator would make them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use weir_tests::postgres::Postgres;
use weir_tests::process::run;

/// Names under which a server on this machine is reached.
const HERE: &str = "DNS:localhost,IP:127.0.0.1";

/// Certificates and their keys, in PEM files.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Who vouches for whom. Made once, kept as long as the shared PostgreSQL.
pub(crate) struct Trust {
    /// The authority that clients and Weir trust.
    pub(crate) root: PathBuf,
    /// Of another authority.
    pub(crate) other_root: PathBuf,
    /// By the trusted root for this machine.
    pub(crate) good: Pair,
    /// By the trusted root through an authority in between, which the file brings along.
    pub(crate) chained: Pair,
    /// By the other root for this machine.
    pub(crate) other: Pair,
    /// By the trusted root, for this machine, until 2021.
    pub(crate) expired: Pair,
    /// By the trusted root for a client with a SPIFFE id.
    pub(crate) spiffe: Pair,
}

pub(crate) fn trust() -> &'static Trust {
    static TRUST: OnceLock<Trust> = OnceLock::new();
    TRUST.get_or_init(|| {
        let folder = Postgres::shared().scratch();
        let root = Authority::root(folder, "root");
        let other = Authority::root(folder, "other-root");
        let between = root.authority("between");
        let chained = between.issue("chained", HERE, Validity::Now);
        let chain = [&chained.certificate, &between.certificate].map(|path| std::fs::read_to_string(path).unwrap());
        std::fs::write(&chained.certificate, chain.concat()).unwrap();
        Trust {
            good: root.issue("good", HERE, Validity::Now),
            chained,
            other: other.issue("other", HERE, Validity::Now),
            expired: root.issue("expired", HERE, Validity::Past),
            spiffe: root.issue("spiffe", "URI:spiffe://corp.example/bob", Validity::Now),
            root: root.certificate,
            other_root: other.certificate,
        }
    })
}

enum Validity {
    Now,
    Past,
}

/// Signs certificates.
struct Authority {
    folder: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    /// One that vouches for itself.
    fn root(folder: &Path, name: &str) -> Authority {
        let authority = Authority::placed(folder, name);
        let mut openssl = request(&authority.folder, name, &authority.key);
        openssl.args(["-x509", "-days", "2", "-extensions", "authority", "-out"]).arg(&authority.certificate);
        run(&mut openssl, b"", LIMIT).ok();
        authority
    }

    /// One that this one vouches for.
    fn authority(&self, name: &str) -> Authority {
        let authority = Authority::placed(&self.folder, name);
        self.sign(name, &authority.certificate, &authority.key, "", &Validity::Now);
        authority
    }

    /// A certificate for a server with these names.
    fn issue(&self, name: &str, names: &str, validity: Validity) -> Pair {
        let Authority { certificate, key, .. } = Authority::placed(&self.folder, name);
        self.sign(name, &certificate, &key, names, &validity);
        Pair { certificate, key }
    }

    fn placed(folder: &Path, name: &str) -> Authority {
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        let configuration = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = weir tests\n\
             [authority]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign\nsubjectKeyIdentifier = hash\n\
             [ca]\ndefault_ca = here\n[here]\ndefault_md = sha256\nnew_certs_dir = .\nrand_serial = yes\n\
             policy = any\nunique_subject = no\n[any]\ncommonName = supplied\n";
        std::fs::write(folder.join("openssl.cnf"), configuration).unwrap();
        Authority { folder: folder.to_path_buf(), certificate: file("crt"), key: file("key") }
    }

    fn sign(&self, name: &str, certificate: &Path, key: &Path, names: &str, validity: &Validity) {
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        run(request(&self.folder, name, key).arg("-out").arg(file("csr")), b"", LIMIT).ok();
        let (extensions, section) = match names {
            "" => (std::fs::read_to_string(self.folder.join("openssl.cnf")).unwrap(), "authority"),
            names => (format!("[server]\nbasicConstraints = CA:FALSE\nsubjectAltName = {names}\n"), "server"),
        };
        std::fs::write(file("ext"), extensions).unwrap();
        std::fs::write(file("index"), "").unwrap();
        // `x509` cannot date back before OpenSSL 3.4; `ca` always could. Its list of what it signed is of no interest.
        let configuration = std::fs::read_to_string(self.folder.join("openssl.cnf")).unwrap();
        let with_list = configuration.replace("[here]\n", &format!("[here]\ndatabase = {}\n", file("index").display()));
        std::fs::write(file("cnf"), with_list).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&self.folder);
        openssl.args(["ca", "-batch", "-notext", "-extensions", section, "-startdate", "20200101000000Z"]);
        match validity {
            Validity::Now => openssl.args(["-enddate", "20991231000000Z"]),
            Validity::Past => openssl.args(["-enddate", "20210101000000Z"]),
        };
        openssl.arg("-config").arg(file("cnf")).arg("-extfile").arg(file("ext"));
        openssl.arg("-cert").arg(&self.certificate).arg("-keyfile").arg(&self.key);
        openssl.arg("-in").arg(file("csr")).arg("-out").arg(certificate);
        run(&mut openssl, b"", LIMIT).ok();
    }
}

/// Longest that `openssl` may take.
const LIMIT: Duration = Duration::from_secs(60);

/// `openssl req` for a new key and this common name.
fn request(folder: &Path, name: &str, key: &Path) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-subj", &format!("/CN={name}")]).arg("-config").arg(folder.join("openssl.cnf"));
    openssl.arg("-keyout").arg(key);
    openssl
}
