"""The client of the PyPI package airc-protocol, unchanged, against our registry.

    pypi.py AIRC_REGISTRY AIRE

The arguments are our two programs. The package comes from requirements.txt.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HOME = tempfile.TemporaryDirectory(prefix="airc-interop-")
# The package keeps its keys below the home directory that it finds when it is loaded.
os.environ["HOME"] = HOME.name

import airc  # noqa: E402
import requests  # noqa: E402
from airc.client import AIRCError  # noqa: E402

REGISTRY, AIRE = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])


class Registry:
    """Our registry, as long as the block lasts."""

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(dir=HOME.name)
        command = [REGISTRY, "serve", "--json", "--open", "--listen", "127.0.0.1:0"]
        command += ["--database", f"sqlite:{self.dir.name}/registry.db"]
        self.env = {**os.environ, "AIRC_LOG": "warn"}
        self.env["XDG_CONFIG_HOME"] = self.env["XDG_STATE_HOME"] = self.dir.name
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=self.dir.name, env=self.env
        )
        ready = json.loads(self.process.stdout.readline())
        assert ready["event"] == "ready", ready
        self.url = f"http://{ready['address']}"
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.stdout.read()
        assert self.process.wait(120) == 0, "the registry did not end well"
        self.process.stdout.close()
        self.dir.cleanup()

    def agent(self, name, **options):
        """A client of the package, registered."""
        client = airc.Client(name, registry=self.url, **options)
        answer = client.register()
        assert answer["success"] and client._registered, answer
        return client

    def native(self, *args):
        """Our command, as the agent `native`: the lines of JSON that it prints."""
        place = ["--registry", self.url, "--handle", "native"]
        return self.aire("airc", *args, *place)

    def aire(self, *args):
        command = [AIRE, "--json", *args]
        ran = subprocess.run(command, env=self.env, check=True, stdout=subprocess.PIPE)
        return ran.stdout.decode()


def consent(client, action, peer):
    """What the package has no call for: POST /api/consent, as its own user."""
    return requests.post(
        f"{client.registry}/api/consent",
        json={"action": action, "from": client.name, "handle": peer},
        headers={"Authorization": f"Bearer {client._token}"},
        timeout=120,
    )


class TwoAgents(unittest.TestCase):
    def setUp(self):
        self.registry = self.enterContext(Registry())
        self.alice = self.registry.agent("alice_agent", working_on="reading")
        self.bob = self.registry.agent("bob_agent")

    def test_registration_gives_a_token_and_a_session(self):
        self.assertTrue(self.alice._token)
        self.assertTrue(self.alice._session_id)
        self.assertNotEqual(self.alice._token, self.bob._token)
        # The package made its key, and keeps it where we told it to.
        self.assertTrue(pathlib.Path(HOME.name, ".airc/keys/alice_agent.key").exists())

    def test_heartbeats_are_seen_by_who(self):
        for client in (self.alice, self.bob):
            self.assertTrue(client.heartbeat()["success"])
        users = {user["username"]: user for user in self.bob.who()}
        self.assertEqual(set(users), {"alice_agent", "bob_agent"})
        self.assertEqual(users["alice_agent"]["workingOn"], "reading")
        self.assertTrue(self.alice.heartbeat(status="busy")["success"])

    def test_messages_wait_for_consent_and_come_then(self):
        sent = self.alice.send("@bob_agent", "hello")
        self.assertTrue(sent["success"])
        self.assertEqual(self.bob.poll(), [])
        self.assertEqual(consent(self.bob, "accept", "alice_agent").status_code, 200)
        (message,) = self.bob.poll()
        self.assertEqual((message["from"], message["text"]), ("alice_agent", "hello"))
        # Who was asked may answer; words beyond ASCII come as they were.
        self.assertTrue(self.bob.send("alice_agent", "grüß dich 🙂")["success"])
        (answer,) = self.alice.poll()
        self.assertEqual((answer["from"], answer["text"]), ("bob_agent", "grüß dich 🙂"))

    def test_a_blocked_sender_is_refused(self):
        self.assertEqual(consent(self.bob, "block", "alice_agent").status_code, 200)
        with self.assertRaises(AIRCError) as raised:
            self.alice.send("bob_agent", "hello")
        self.assertIn("HTTP 403", str(raised.exception))
        self.assertEqual(self.bob.poll(), [])

    def test_since_leaves_out_what_is_old(self):
        self.alice.send("bob_agent", "hello")
        consent(self.bob, "accept", "alice_agent")
        self.assertEqual(len(self.bob.poll(since=1)), 1)
        self.assertEqual(self.bob.poll(since=4_000_000_000), [])

    def test_nobody_speaks_or_listens_for_another(self):
        stranger = airc.Client("alice_agent", registry=self.registry.url)
        for call in (lambda: stranger.send("bob_agent", "hello"), stranger.poll):
            with self.assertRaises(AIRCError) as raised:
                call()
            self.assertIn("HTTP 401", str(raised.exception))
        stranger._token = self.bob._token
        with self.assertRaises(AIRCError):
            stranger.send("bob_agent", "hello")

    def test_a_handle_that_is_taken_is_nobody_elses(self):
        # The package keeps no token and sends no key, so nothing proves that it is the same again.
        again = airc.Client("alice_agent", registry=self.registry.url)
        with self.assertRaises(AIRCError) as raised:
            again.register()
        self.assertIn("HTTP 4", str(raised.exception))
        self.assertTrue(self.alice.heartbeat()["success"])

    def test_a_client_that_signs_its_requests_is_served_too(self):
        carol = self.registry.agent("carol_agent", sign_requests=True)
        self.assertTrue(carol.heartbeat()["success"])
        carol.send("bob_agent", "hello")
        consent(self.bob, "accept", "carol_agent")
        self.assertEqual([message["text"] for message in self.bob.poll()], ["hello"])

    def test_it_talks_with_an_agent_of_ours(self):
        native = self.registry.native
        self.registry.aire("keygen")
        native("register", "--payload", "handoff")
        native("consent", "request", "bob_agent")
        self.assertEqual(consent(self.bob, "accept", "native").status_code, 200)
        native("send", "bob_agent", "hello")
        (message,) = self.bob.poll()
        self.assertEqual((message["from"], message["text"]), ("native", "hello"))
        self.bob.send("native", "hello yourself")
        (line,) = native("poll").splitlines()
        record = json.loads(line)
        # Nobody signed it, and who receives it is told so.
        self.assertEqual(record["proof"], "unsigned")
        self.assertEqual(record["message"]["body"], "hello yourself")
        self.assertEqual(native("poll"), "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
