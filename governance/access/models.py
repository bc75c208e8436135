from django.db import models


class AccessRevision(models.Model):
    """One row. It rises whenever somebody loses or changes what they may do.

    Each server process compares it with what it saw last: a single small read tells that there is something to look at,
    whatever the number of users, tokens and open sockets.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    revision = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="access_revision_is_one_row")]
