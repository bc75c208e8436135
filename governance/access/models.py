from django.db import models


class AccessRevision(models.Model):
    """One row. It rises with each change of credentials, roles or memberships.

    Each server process compares it with the number that it read last: one small query shows whether credentials have to
    be checked again, whatever the number of users, tokens and open sockets.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    revision = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="access_revision_is_one_row")]
