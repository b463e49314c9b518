from proxy import passes


def test_a_token_is_for_one_client_at_one_host_for_ten_minutes():
    given = passes.Passes(b"k" * 32)
    token = given.token("10.0.0.7", "a.test", 1000)
    assert passes.Passes(b"k" * 32).accepts(token, "10.0.0.7", "a.test", 1599)
    assert not given.accepts(token, "10.0.0.8", "a.test", 1001)
    assert not given.accepts(token, "10.0.0.7", "b.test", 1001)
    assert not given.accepts(token, "10.0.0.7", "a.test", 1601)
    given.remember("10.0.0.7", "a.test", 1000)
    assert given.remembered("10.0.0.7", "a.test", 1599)
    assert not given.remembered("10.0.0.7", "a.test", 1601)


def test_the_token_is_taken_out_of_what_goes_on():
    assert passes.onward("a=1&__schoolgate_ok=old", "new") == "a=1&__schoolgate_ok=new"
    assert passes.taken_from_query("a=1&__schoolgate_ok=t&b") == ("a=1&b", "t")
    assert passes.taken_from_query("a=%20&&b") == ("a=%20&&b", "")
    assert passes.taken_from_cookies("s=1; __schoolgate_ok=t; u=2") == ("s=1; u=2", "t")
    assert passes.taken_from_cookies("__schoolgate_ok=t") == ("", "t")
