"""SQLModel tables; a module of its own, since SQLModel may not be installed."""

# SQLModel reads annotations when the class is made, so they are no strings here.
from sqlmodel import Field, Relationship, SQLModel


class League(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    heroes: list["Hero"] = Relationship(back_populates="league")

    def loud(self) -> str:
        """Say the name loudly."""
        return self.name.upper()


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    league_id: int | None = Field(default=None, foreign_key="league.id")
    league: League | None = Relationship(back_populates="heroes")


def league() -> League:
    """Make a league of two."""
    return League(id=1, name="League", heroes=[Hero(id=1, name="Bat"), Hero(id=2, name="Cat")])
