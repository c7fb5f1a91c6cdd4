from tasks.report import set_right_page


def test_what_the_service_set_right_in_between_is_told_beside_what_was_found_now():
    page = set_right_page(
        {"dispatched": 2, "resumed": 0, "problems": ["the store is away"]}, {"resumed": 7, "expired": 1}
    )
    assert page.splitlines() == [
        "| set right | this time | since the installation |",
        "|---|---|---|",
        "| dispatched | 2 | - |",
        "| resumed | 0 | 7 |",
        "| expired | 0 | 1 |",
        "",
        "- not done this time: the store is away",
    ]


def test_a_reconcile_that_found_another_at_work_tells_the_sums_all_the_same():
    page = set_right_page(None, {"unannounced": 3})
    assert page.startswith("Another process was reconciling")
    assert "| unannounced | 0 | 3 |" in page
