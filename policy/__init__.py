"""The rule book: schools, groups, networks, rules, and the one pure `decide`. Read `policy/decide.py` first."""
