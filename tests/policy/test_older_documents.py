"""Policy values and their one canonical text."""

from dataclasses import dataclass
from typing import Annotated

import pytest

from policy import rules
from policy.rules import UNSET_LEAVES_NO_TRACE, Group, SchoolPolicy, read, write

# As signed by the first version of the product, byte for byte.
FIRST_GROUP = '{"id":"ks3","name":"Years 7-9","phase":"ks3","safe_search":true}'
FIRST_SCHOOL = (
    '{"authority":"aa","blocked_answer":"page","category_rules":[{"action":"block","category":"games","change":3,"during":null,'
    '"groups":["ks3"],"id":"k3","mandatory":false,"phases":[],"until":null}],"dictionary":"dd","groups":['
    + FIRST_GROUP
    + "],"
    '"kind":"school","log":"hillview","name":"Hillview","networks":[{"forced":false,"group":"ks3","id":"n1","listener":"*",'
    '"prefix":"10.2.0.0/16"}],"site_rules":[{"action":"allow","change":4,"during":null,"groups":[],"host":"bbc.co.uk","id":"s4",'
    '"mandatory":false,"path":"/bitesize","person":null,"starts":null,"until":"2026-12-18T23:59:00Z"}],"timetables":[],'
    '"timezone":"Europe/London"}'
)


@pytest.mark.parametrize(("kind", "text"), [(Group, FIRST_GROUP), (SchoolPolicy, FIRST_SCHOOL)])
def test_what_an_older_version_signed_still_reads_and_writes_the_same(kind, text):
    assert write(read(kind, text)) == text


@dataclass(frozen=True, slots=True)
class Newer:
    """What a value looks like once a field has been added to it."""

    __pydantic_config__ = rules.STRICT
    id: str
    added: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""


def test_an_unset_field_leaves_no_trace_and_is_never_written_out():
    assert write(Newer("a")) == '{"id":"a"}'
    assert write(Newer("a", "b")) == '{"added":"b","id":"a"}'
    assert read(Newer, '{"id":"a"}') == Newer("a")
    with pytest.raises(ValueError, match="canonical"):
        read(Newer, '{"added":"","id":"a"}')
