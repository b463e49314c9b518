"""One module a command: `words` adds its words to the parser, and names what runs.

Only the module of the command that was given is loaded: `explain` must not wait for a database it does not open.
"""

from appliance.commands.words import WrongWords

COMMANDS: dict[str, tuple[str, str]] = {  # name: (module, what it does)
    "up": ("up", "start the filter: resolver, proxy, desk and recorder"),
    "init": ("init", "begin an installation: authority, school, networks, first people"),
    "add-school": ("add_school", "add a further school to an installation"),
    "code": ("code", "a new one-time code for a school's first people, before its headteacher has enrolled"),
    "explain": ("explain", "say what happens to a name or page for a group, and why"),
    "gateway": ("gateway", "the box as the school's router: rules planned, tried, confirmed, shown, removed"),
    "devices": ("devices", "who and what is in the networks: the register, a table of it, who is at an address"),
    "guests": ("guests", "who has signed in at the sign-in page, and which codes for guests hold"),
    "doctor": ("doctor", "look for the usual mistakes, and say how to mend them"),
    "steer": ("steer", "the process that writes the gateway's permits, where that is a service of its own"),
    "install": ("install", "make this a service of a Debian-like system; shows first what it would do"),
    "uninstall": ("install", "take the services away again; the school's record stays"),
    "lists": ("lists", "category lists: import, lookup, status, evaluate"),
    "policy": ("policy", "the policy in force: export it, or let another resolver fetch it"),
    "mail": ("mail", "e-mail: send a test message, see what waits"),
    "stream": ("stream", "the filter log sent on as it grows: send a test line, see how it stands"),
    "changes": ("changes", "the change log: verify, export"),
}

__all__ = ["COMMANDS", "WrongWords"]
