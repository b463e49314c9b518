"""`schoolgate.internal/setup`: how each kind of device comes to trust the box, and what to look at afterwards.

The words are data here, the page is one template. No script runs on it: what is looked at is looked at by a person's click.
"""

import hashlib
import json
import plistlib
import uuid
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.answer import NEVER_KEPT, Answer
from proxy.block_page import Pages

_OURS: Final = uuid.UUID("5c0a7e36-2f0f-5b8c-9d5e-7363686f6f6c")  # names of ours in configuration profiles


@dataclass(frozen=True, slots=True)
class System:
    """One kind of device: a link to take, what to do, and how the school does it for all of them at once."""

    path: str
    name: str
    link: tuple[str, str]  # address and words
    steps: tuple[str, ...]
    managed: str


SYSTEMS: Final = (
    System(
        "ios",
        "iPhone and iPad",
        ("/schoolgate.mobileconfig", "Get the profile"),
        (
            "Take the profile in Safari, and allow it.",
            "Open Settings: General, VPN & Device Management, Schoolgate. Choose Install.",
            "There is a second switch: Settings, General, About, Certificate Trust Settings. Switch Schoolgate on.",
        ),
        "By device management (Jamf, Intune): put the profile there. Then the second switch is not needed.",
    ),
    System(
        "macos",
        "Mac",
        ("/schoolgate.mobileconfig", "Get the profile"),
        (
            "Take the profile, and open it.",
            "Open System Settings: General, Device Management. Choose Schoolgate, then Install.",
        ),
        "By device management: the same profile, to all Macs.",
    ),
    System(
        "android",
        "Android",
        ("/ca.crt", "Get the certificate"),
        (
            "Take the certificate.",
            "Open Settings: Security, Encryption & credentials, Install a certificate, CA certificate.",
            "Android warns. Choose Install anyway, and then the file.",
        ),
        "By Android Enterprise (Intune, Google Admin). Apps that were not written for it do not trust a certificate that a "
        "person adds; what refuses it is learnt, and proposed to the headteacher as a site that is never looked into.",
    ),
    System(
        "chromeos",
        "Chromebook",
        ("/ca.crt", "Get the certificate"),
        (
            "For one device: open chrome://certificate-manager, Custom, Installed by you, Import, and choose the file.",
            "Chromebooks of the school get it from the Admin console, not by hand.",
        ),
        "Google Admin: Devices, Networks, Certificates, Add certificate; tick Chromebook. Set the policies DnsOverHttpsMode "
        "to off and QuicAllowed to false in Devices, Chrome, Settings.",
    ),
    System(
        "windows",
        "Windows",
        ("/ca.crt", "Get the certificate"),
        (
            "Open the file. Choose Install Certificate, Local Machine.",
            "Choose Place all certificates in the following store: Trusted Root Certification Authorities.",
        ),
        "Group Policy: Computer Configuration, Windows Settings, Security Settings, Public Key Policies, Trusted Root "
        "Certification Authorities, Import. Edge and Chrome follow it. Set DnsOverHttpsMode to off and QuicAllowed to "
        "disabled in their administrative templates.",
    ),
    System(
        "firefox",
        "Firefox",
        ("/firefox/policies.json", "Get policies.json"),
        (
            "Firefox on Windows and Mac takes the system's certificates; elsewhere it has a list of its own.",
            "Put policies.json and the certificate, as schoolgate-ca.pem, into the folder distribution beside the program.",
            "By hand: Settings, Privacy & Security, View Certificates, Authorities, Import; tick websites.",
        ),
        "Group Policy or device management: the same policies by Mozilla's templates.",
    ),
    System(
        "linux",
        "Linux",
        ("/ca.pem", "Get the certificate"),
        (
            "Debian and Ubuntu: ca.pem as schoolgate.crt into /usr/local/share/ca-certificates; then update-ca-certificates.",
            "Fedora: ca.pem into /etc/pki/ca-trust/source/anchors; then update-ca-trust.",
        ),
        "By your configuration management: the same file, the same command.",
    ),
)
LOOKS: Final = (  # where to click, in words; what should be seen
    (
        "https://schoolgate.internal/setup/trusted",
        "Does this device trust the certificate?",
        "A page opens that says so. A warning means: not yet.",
    ),
    (
        "http://use-application-dns.net/",
        "Does the browser ask this network for names?",
        "The page cannot be found. If it opens, the browser has another resolver: switch secure DNS off.",
    ),
    (
        "https://www.google.com/search?q=safe+search&udm=2",
        "Is safe search on?",
        "For pupils, Google says that SafeSearch is on, and that it cannot be switched off.",
    ),
    (
        "https://cloudflare-quic.com/",
        "Is HTTP/3 off?",
        "The page, where it is allowed, says HTTP/2. Behind a gateway of ours HTTP/3 is refused at once.",
    ),
)


class Setup:
    """The pages and files under /setup, of one certificate."""

    def __init__(self, pages: Pages, pem: bytes) -> None:
        self._pages, self._pem = pages, pem

    def answer(self, path: str) -> Answer | None:
        """None: it is none of these."""
        if path in {"/setup", "/setup/"}:
            return self._pages.setup(SYSTEMS, LOOKS)
        if path == "/setup/trusted":
            return self._pages.message(
                200, "This device trusts the certificate", "Pages that the filter looks into open on it."
            )
        for system in SYSTEMS:
            if path == f"/setup/{system.path}":
                return self._pages.setup((system,), ())
        match path:
            case "/ca.crt":
                return _file("application/x-x509-ca-cert", "schoolgate-ca.crt", self._der)
            case "/schoolgate.mobileconfig":
                return _file("application/x-apple-aspen-config", "schoolgate.mobileconfig", profile(self._der))
            case "/firefox/policies.json":
                return _file("application/json", "policies.json", FIREFOX)
        return None

    @property
    def _der(self) -> bytes:
        return x509.load_pem_x509_certificate(self._pem).public_bytes(Encoding.DER)


def _file(kind: str, name: str, data: bytes) -> Answer:
    disposition = ("Content-Disposition", f'attachment; filename="{name}"')
    return Answer(200, (("Content-Type", kind), disposition, NEVER_KEPT), data)


def profile(der: bytes) -> bytes:
    """A configuration profile that makes an Apple device trust the certificate. The same for the same certificate."""
    mark = hashlib.sha256(der).hexdigest()
    certificate = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": "internal.schoolgate.ca",
        "PayloadUUID": str(uuid.uuid5(_OURS, f"certificate {mark}")).upper(),
        "PayloadDisplayName": "Schoolgate",
        "PayloadCertificateFileName": "schoolgate-ca.crt",
        "PayloadContent": der,
    }
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": "internal.schoolgate",
            "PayloadUUID": str(uuid.uuid5(_OURS, f"profile {mark}")).upper(),
            "PayloadDisplayName": "Schoolgate",
            "PayloadDescription": "Pages that the school's filter looks into open without a warning.",
            "PayloadOrganization": "Schoolgate",
            "PayloadContent": [certificate],
        }
    )


FIREFOX: Final = json.dumps(
    {
        "policies": {
            "Certificates": {"ImportEnterpriseRoots": True, "Install": ["schoolgate-ca.pem"]},
            "DNSOverHTTPS": {"Enabled": False, "Locked": True},
            "Preferences": {"network.http.http3.enable": {"Value": False, "Status": "locked"}},
        }
    },
    indent=2,
).encode()
