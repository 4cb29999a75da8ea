"""smtplib of the standard library, with STARTTLS. The server answers a mail late."""

from __future__ import annotations

import smtplib
import ssl

from clients.adapter import CERTIFICATE, Adapter


class Client(Adapter):
    # "Connection refused" it leaves as it is, and says so: SMTPException is an OSError.
    errors = (smtplib.SMTPException, ConnectionError, ssl.SSLError)

    def __init__(self, port: int, folder: str) -> None:
        super().__init__(port, folder)
        self.context = ssl.create_default_context(cafile=CERTIFICATE)

    def open(self) -> smtplib.SMTP:
        connection = smtplib.SMTP("localhost", self.port, local_hostname="localhost", timeout=60)
        connection.starttls(context=self.context)
        return connection

    def ask(self, connection: smtplib.SMTP, number: int, seconds: float) -> int:
        connection.ehlo()
        connection.mail("one@example.com")
        connection.rcpt("other@example.com")
        code, answer = connection.data(f"Subject: late\r\n\r\n{number} {seconds}\r\n")
        if code != 250:
            raise smtplib.SMTPDataError(code, answer)
        return int(answer)
