"""FastAPI, SQLModel and psycopg: the way the take-home is mostly solved."""

import os
from datetime import date
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Path, Response
from pydantic import BaseModel, Field
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field as Column
from sqlmodel import Session, SQLModel, create_engine

# SQLAlchemy's own default is 5, and 10 more.
CONNECTIONS = int(os.environ["DATABASE_CONNECTIONS"])
engine = create_engine(os.environ["DATABASE_URL"], pool_size=CONNECTIONS, max_overflow=0)
app = FastAPI()


class Person(SQLModel, table=True):
    __tablename__ = "people"
    username: str = Column(primary_key=True)
    date_of_birth: date


class Birthday(BaseModel):
    date_of_birth: date = Field(alias="dateOfBirth")


def session():
    with Session(engine) as opened:
        yield opened


Database = Annotated[Session, Depends(session)]
Username = Annotated[str, Path(pattern="^[A-Za-z]{1,64}$")]


def birthday_in(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def days_until(born: date, today: date) -> int:
    birthday = birthday_in(born, today.year)
    if birthday < today:
        birthday = birthday_in(born, today.year + 1)
    return (birthday - today).days


@app.get("/hello/{username}")
def get_hello(username: Username, database: Database) -> dict[str, str]:
    person = database.get(Person, username)
    if person is None:
        raise HTTPException(404, "unknown user")
    days = days_until(person.date_of_birth, date.today())
    wish = f"Your birthday is in {days} day(s)" if days else "Happy birthday!"
    return {"message": f"Hello, {username}! {wish}"}


@app.put("/hello/{username}", status_code=204, response_class=Response)
def put_hello(username: Username, birthday: Birthday, database: Database) -> None:
    if birthday.date_of_birth >= date.today():
        raise HTTPException(400, "the date must be before today")
    values = {"date_of_birth": birthday.date_of_birth}
    statement = insert(Person).values(username=username, **values)
    database.execute(statement.on_conflict_do_update(index_elements=["username"], set_=values))
    database.commit()


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
