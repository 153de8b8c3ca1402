from impulse_nnunet.runtime.findings import Finding, Findings

MIRRORED, CUT = Finding("mirrored", "looks mirrored"), Finding("cut", "is cut")


def test_findings_are_kept_by_case_in_order_and_once():
    findings = Findings()
    assert findings.add("a", [MIRRORED, MIRRORED]) == [MIRRORED]
    assert findings.add("a", [CUT, MIRRORED]) == [CUT]  # a case that is decoded again in smaller blocks
    assert findings.of("a") == (MIRRORED, CUT)
    assert findings.of("b") == ()


def test_a_case_that_is_predicted_again_starts_without():
    findings = Findings()
    findings.add("a", [MIRRORED])
    findings.forget("a")
    findings.forget("b")
    assert findings.of("a") == ()
