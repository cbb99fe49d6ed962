"""English news, for models that were not trained on Japanese; short, so that a CPU can train on it."""

from data_prep.language import Language

ENGLISH = Language(
    instruction="List the offenders in this article. Answer in JSON.",
    keywords=("arrest", "Arrest", "suspect", "Suspect"),
    surnames=tuple(
        (
            "Adams Allen Bailey Baker Barnes Bell Bennett Brooks Brown Bryant Butler Campbell Carter Clark Coleman Collins "
            "Cooper Cox Davis Diaz Edwards Evans Fisher Flores Foster Garcia Gibson Gomez Gray Green Hall Harris Hayes "
            "Hill Howard Hughes Jackson James Jenkins Johnson Jones Kelly King Lewis Long Lopez Martin Miller Mitchell "
            "Moore Morgan Murphy Nelson Parker Perez Perry Phillips Powell Price Reed Reyes Rivera Roberts Robinson Rogers "
            "Ross Russell Sanders Scott Simmons Smith Stewart Sullivan Taylor Thomas Turner Walker Ward Watson White Young"
        ).split()
    ),
    given_names=tuple(
        (
            "Aaron Alice Amanda Andrew Angela Anna Arthur Barbara Brian Carl Carol Catherine Charles Christine Daniel David "
            "Deborah Dennis Diane Donna Dorothy Douglas Edward Elizabeth Emily Eric Frances Frank George Gerald Gloria "
            "Gregory Harold Heather Helen Henry Jack Janet Jason Jessica Joan John Joseph Joyce Judith Julie Karen Keith "
            "Kenneth Kevin Larry Laura Linda Lisa Margaret Maria Mark Martha Mary Matthew Melissa Michael Nancy Nicole "
            "Pamela Patricia Patrick Paul Peter Philip Rachel Ralph Raymond Rebecca Richard Robert Roger Ronald Ruth Ryan"
        ).split()
    ),
    full_name="{given} {surname}",
    choices={
        "city": tuple("Ashford Bolton Burnley Chester Derby Dover Exeter Hull Leeds Lincoln Luton Oxford York".split()),
        "agency": ("police", "the county police", "city police", "detectives"),
        "offence": (
            "theft",
            "robbery",
            "fraud",
            "arson",
            "assault",
            "blackmail",
            "bribery",
            "burglary",
            "forgery",
            "smuggling",
        ),
        "job": (
            "baker",
            "banker",
            "builder",
            "clerk",
            "cook",
            "dentist",
            "driver",
            "farmer",
            "lawyer",
            "nurse",
            "painter",
            "plumber",
            "porter",
            "student",
            "teacher",
            "waiter",
        ),
    },
    offender="{job} {name}{title} ({age})",
    between_offenders=" and ",
    between_sentences=" ",
    leads_with_keyword=(
        ("", "On May {day}, {agency} arrested {offenders} for {offence}."),
        ("", "Arrested in {city} for {offence}: {offenders}."),
        ("", "Suspected of {offence} in {city}: {offenders}."),
        ("", "A warrant of arrest for {offence} was issued for {offenders}."),
    ),
    leads_without_keyword=(
        ("", "A court in {city} found guilty of {offence}: {offenders}."),
        ("", "The trial for {offence} of {offenders} began on May {day}."),
        ("", "In {city}, {offenders} must go to prison for {offence}."),
    ),
    nobody_with_keyword=(
        "After {offence} in {city}, {agency} have no suspect.",
        "In {city}, {agency} practised an arrest with {count} visitors.",
        "For help in an arrest for {offence}, {agency} thanked {job_a} {name_a} ({age_a}).",
        "Last year {count} people were arrested for {offence}, {agency} said.",
    ),
    nobody_without_keyword=(
        "After a fire in {city} on May {day}, {job_a} {name_a} ({age_a}) was saved.",
        "In {city}, {count} people took part in a course on {offence}.",
        "On May {day}, {job_a} {name_a} ({age_a}) received a prize in {city}.",
        "There was {offence} in {city} on May {day}; {agency} have no trace.",
        "The city of {city} made {name_a} ({age_a}) head of its schools.",
    ),
    people=(
        "The victim, {job_v} {name_v} ({age_v}), is well.",
        "A witness, {job_w} {name_w} ({age_w}), heard a noise.",
        "Inspector {name_p} asks for patience.",
        "Mayor {name_o} wants a safe city.",
    ),
    other_asides=("It happened near the station of {city}.", "The damage is {count} pounds."),
    aside_weights=(60, 40, 0),
)
