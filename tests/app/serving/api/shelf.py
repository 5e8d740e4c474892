"""What stands on the shelf that these tests ask, and how they ask it."""

ANSWER_TOKENS = 300  # long enough to be stopped in the middle
QUESTION = "How high did the river get at Marl Bridge in December 2024?"
HOSTILE = (
    "<script>alert(1)</script> The bell of Hathersby <img src=x onerror=alert(2)> weighs 40 stone."
)
PASSWORD = "correct horse"


def shelf_id(service):
    return service.library.collections()[0].id


def ask(http, service, **body):
    return http.post(f"/v1/collections/{shelf_id(service)}/ask", json={"question": QUESTION} | body)
