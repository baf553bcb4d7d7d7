"""pki - certificates of every kind, good and broken, by the openssl program."""
import os
import subprocess


def openssl(*arguments, **more):
    done = subprocess.run(("openssl",) + arguments, capture_output=True, **more)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


class Cert:
    """A certificate and its key as files; chain: what a server sends, its own first."""

    def __init__(self, path, key, issuer=None):
        self.path, self.key, self.issuer = path, key, issuer
        self.chain = path + ".chain"
        self.chain_of(*self.line())

    def line(self):
        """From this one up to, and without, the root."""
        return [self] + (self.issuer.line() if self.issuer and self.issuer.issuer else [])

    def chain_of(self, *certs):
        """Send these instead."""
        with open(self.chain, "w") as out:
            for cert in certs:
                with open(cert.path) as text:
                    out.write(text.read())
        return self


class Pki:
    """Everything lies in one folder; keys are shared where a test does not need its own."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        os.makedirs(folder, exist_ok=True)
        self.leaf_key = self.new_key()

    def new_key(self, *kind):
        self.count += 1
        path = f"{self.folder}/{self.count}.key"
        openssl("genpkey", *(kind or ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")), "-out", path)
        return path

    def root(self, name="Test Root", key=None):
        return self.issue(
            None,
            f"/CN={name}",
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign",
            key or self.new_key(),
        )

    def intermediate(self, issuer, name, constraints="critical,CA:TRUE", more=""):
        return self.issue(
            issuer,
            f"/CN={name}",
            f"basicConstraints={constraints}\nkeyUsage=critical,keyCertSign,cRLSign\n{more}",
            self.new_key(),
        )

    def leaf(self, issuer, *names, subject="/O=Test", usage="serverAuth", more="", **rest):
        """names: "DNS:x" or "IP:x" texts, or octets: then the DER of the whole extension."""
        lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", more]
        if usage:
            lines.append(f"extendedKeyUsage={usage}")
        if names and isinstance(names[0], bytes):
            lines.append("subjectAltName=DER:" + names[0].hex(":"))
        elif names:
            entries = [name.partition(":") for name in names]
            lines.append("subjectAltName=@names\n[names]")
            lines += [f"{kind}.{n} = {value}" for n, (kind, _, value) in enumerate(entries)]
        return self.issue(issuer, subject, "\n".join(lines), rest.pop("key", self.leaf_key), **rest)

    def issue(self, issuer, subject, extensions, key, digest="sha256", start=None, end=None):
        self.count += 1
        path, config = f"{self.folder}/{self.count}.pem", f"{self.folder}/{self.count}.conf"
        with open(config, "w") as out:
            out.write(
                f"[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ca]\ndefault_ca=our\n[our]\n"
                f"database={config}.index\nrand_serial=yes\npolicy=any\nnew_certs_dir={self.folder}\n"
                f"default_md={digest}\n[any]\ncommonName=optional\norganizationName=optional\n"
                f"[ext]\n{extensions}\n"
            )
        if start:
            self.issue_dated(issuer, subject, key, path, config, start, end)
        else:
            signer = ("-CA", issuer.path, "-CAkey", issuer.key) if issuer else ()
            openssl(
                "req",
                "-x509",
                "-new",
                "-key",
                key,
                "-subj",
                subject,
                "-days",
                "30",
                f"-{digest}",
                "-config",
                config,
                "-out",
                path,
                *signer,
            )
        return Cert(path, key, issuer)

    def issue_dated(self, issuer, subject, key, path, config, start, end):
        """Times as YYYYMMDDHHMMSSZ: only "openssl ca" takes them in OpenSSL 3.0."""
        open(f"{config}.index", "w").close()
        openssl("req", "-new", "-key", key, "-subj", subject, "-config", config, "-out", f"{path}.csr")
        openssl(
            "ca",
            "-batch",
            "-notext",
            "-config",
            config,
            "-extensions",
            "ext",
            "-in",
            f"{path}.csr",
            "-cert",
            issuer.path,
            "-keyfile",
            issuer.key,
            "-startdate",
            start,
            "-enddate",
            end,
            "-out",
            path,
        )

    def tampered(self, cert):
        """The same certificate with the last octet of its signature flipped."""
        der = bytearray(openssl("x509", "-in", cert.path, "-outform", "DER"))
        der[-1] ^= 1
        path = cert.path + ".tampered"
        openssl("x509", "-inform", "DER", "-out", path, input=bytes(der))
        return Cert(path, cert.key, cert.issuer)


def dns_san(*names):
    """A subjectAltName of dNSNames whose octets openssl would not write: NUL, UTF-8, blanks. Short ones only."""
    inner = b"".join(b"\x82" + bytes([len(name)]) + name for name in names)
    return b"\x30" + bytes([len(inner)]) + inner
