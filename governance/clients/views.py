"""Live clients over the API."""

from django.db.models import QuerySet

from governance.api.viewsets import RowsViewSet
from governance.clients.connections import FORGET_AFTER
from governance.clients.filters import ConnectionFilter
from governance.clients.models import Connection
from governance.clients.serializers import ConnectionSerializer
from governance.core.db import ago


class ConnectionViewSet(RowsViewSet[Connection]):
    resource = "client"
    queryset = Connection.objects.all()
    serializer_class = ConnectionSerializer
    filterset_class = ConnectionFilter

    def get_queryset(self) -> QuerySet[Connection]:
        return super().get_queryset().filter(process__seen_at__gt=ago(FORGET_AFTER))
