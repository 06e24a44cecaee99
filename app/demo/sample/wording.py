"""Words of a Bolivian dental clinic: names, services, and clinical notes that vary as written ones do.

The notes decide what the sample compresses to, so they are made of many phrases, of figures, and of the slips
of the keyboard that real notes have. Every choice comes from the `Random` handed in.
"""

import re
from itertools import cycle
from random import Random
from typing import Final


def _among(text: str) -> list[str]:
    """What stands between the bars; line ends are only the page's."""
    return [each.strip() for each in " ".join(text.split()).split("|")]


WOMEN: Final = _among(
    """
    María José | Ana | Lucía | Juana | Rosmery | Nayra | Wara | Carla | Ximena | Verónica | Mónica | Noemí |
    Sofía | Inés | Beatriz | Guadalupe | Raquel | Yolanda | Concepción | Úrsula | Begoña | Zulma | Elba |
    Paola | Fabiola | Gabriela | Jhoselin | Maribel
    """
)
MEN: Final = _among(
    """
    José | Juan Carlos | Luis | Wálter | Rubén | Óscar | Iván | Ramiro | Édgar | Freddy | Ángel | Germán |
    Hernán | Joaquín | Martín | Nicolás | Saúl | Tomás | Víctor | Wilfredo | Andrés | Álvaro | Mauricio |
    Jhonny | Grover | Limbert | Néstor | Íñigo
    """
)
SURNAMES: Final = _among(
    """
    Quispe | Mamani | Condori | Choque | Flores | Rojas | Gutiérrez | Vargas | Fernández | Áñez | Ibáñez |
    Peñaranda | Núñez | Muñoz | D'Angelo | O'Connor | Suárez | Justiniano | Ribera | Zabala | Camacho |
    Céspedes | Arévalo | Bánzer | Cañaviri | Huanca | Ticona | Ñuflo | Peña | Saavedra | Terrazas | Urquidi
    | Villarroel | Yapura | Zárate | Montaño | Antezana | Balderrama | Claros | Rocha | Soliz | Vaca | Paz |
    Melgar | Callisaya | Apaza | Limachi | Poma | Tarqui | Chávez | Aramayo | Bustillos | Méndez | Ordóñez
    """
)
STREETS: Final = _among(
    """
    Av. 6 de Agosto | Calle Sagárnaga | Av. Cañoto | Calle Ñuflo de Chávez | Av. Heroínas | Calle España |
    Av. Busch | Pasaje Villén | Av. América | Calle Potosí | Av. Blanco Galindo | Calle Jordán | Av. Santos
    Dumont | Calle Junín | Av. Hernando Siles | Calle 21 de Calacoto | Av. Montes | Calle Aniceto Arce
    """
)
DISTRICTS: Final = _among(
    """
    Sopocachi | Miraflores | Equipetrol | Queru Queru | Villa Fátima | Obrajes | El Alto | Cala Cala | Plan
    3000 | Achumani | Tupuraya | San Pedro | Las Palmas | Sarco | Muyurina | La Ramada
    """
)
SPECIALTIES: Final = _among(
    """
    Odontología general | Ortodoncia | Endodoncia | Periodoncia | Odontopediatría | Cirugía maxilofacial |
    Rehabilitación oral
    """
)
ALLERGIES: Final = _among(
    """
    penicilina | látex | AINE | ibuprofeno | metamizol | yodo | níquel | sulfas | ácido acetilsalicílico |
    mariscos | maní | anestesia "con adrenalina" | acrílico \\ monómero
    """
)
DISEASES: Final = _among(
    """
    ninguna de importancia | diabetes tipo 2 | hipertensión arterial | hipotiroidismo | asma | gastritis |
    anemia | enfermedad de Chagas | artritis reumatoide | embarazo | epilepsia controlada | bruxismo |
    rinitis alérgica
    """
)

# Name, base price in centavos, minutes.
SERVICES: Final = (
    ("Consulta y diagnóstico", 8_000, 30),
    ("Profilaxis (limpieza dental)", 15_000, 40),
    ("Obturación con resina, una cara", 18_000, 45),
    ("Obturación con resina, dos o más caras", 25_000, 60),
    ("Exodoncia simple", 20_000, 40),
    ("Exodoncia de tercer molar «retenido»", 75_000, 90),
    ("Endodoncia unirradicular", 60_000, 75),
    ("Endodoncia multirradicular", 95_000, 120),
    ("Corona de porcelana", 140_000, 60),
    ("Corona de circonio", 220_000, 60),
    ("Prótesis parcial removible", 180_000, 45),
    ("Prótesis total", 260_000, 45),
    ("Ortodoncia: instalación de brackets", 350_000, 90),
    ("Ortodoncia: control mensual", 25_000, 30),
    ("Retenedor", 45_000, 30),
    ("Blanqueamiento con peróxido al 35 %", 90_000, 60),
    ("Raspado y alisado radicular, por cuadrante", 30_000, 50),
    ("Gingivectomía", 55_000, 60),
    ("Implante de titanio", 480_000, 120),
    ("Injerto óseo", 210_000, 90),
    ("Sellante de fosas y fisuras", 9_000, 20),
    ("Aplicación de flúor en niños", 7_000, 15),
    ("Radiografía periapical", 4_000, 10),
    ("Radiografía panorámica", 12_000, 15),
    ("Férula de descarga", 65_000, 40),
)

# What breaks careless programs: each stands in every clinic that is large enough, and comes round again.
AWKWARD: Final = (
    'Dice que le dicen "la Ñata"; firmó como O\'Higgins.',
    "Placa en C:\\Radiografías\\2019\\nuevas\\p-18.dcm (no abre).",
    "Línea uno\nlínea dos\r\nlínea tres\tcon tabulador",
    "Muy contenta con el resultado 😁🦷👩🏽‍⚕️",
    "Pegado de otro sistema:\u2028segunda línea\u2029otro párrafo",
    "\\N",
    "\\.",
    '{"pieza": 18, "nota": null}',
    "null",
    "100 % de acuerdo; costo <b>Bs 250</b> & descuento '5%'",
    "  espacios al principio y al final  ",
    "Nu\u0303n\u0303ez escribe su apellido con tilde combinada",
    "$1 {llaves} %s \\u00f1 $$",
    "Fin de archivo: \x1a, campana: \x07, borrado: \x7f",
    "\ufeffTexto con marca de orden; espacio\u00a0duro y ancho\u200bcero",
    "مريض من سانتا كروز, 患者",
)

_WORDS: Final = {
    "pieza": [f"{quadrant}{tooth}" for quadrant in range(1, 5) for tooth in range(1, 9)],
    "cara": _among(
        """
        oclusal | mesial | distal | vestibular | palatina | lingual | mesio-oclusal | disto-oclusal |
        cervical
        """
    ),
    "sintoma": _among(
        """
        dolor al masticar | sensibilidad al frío | sangrado al cepillarse | dolor nocturno | inflamación |
        mal aliento | movilidad | dolor que irradia al oído | pérdida de una obturación | fractura por caída
        | molestia al morder | limitación de la apertura | chasquido al abrir | ardor en la lengua | aftas
        """
    ),
    "tiempo": _among(
        """
        desde ayer | desde hace dos días | desde hace una semana | desde hace quince días | desde hace un
        mes | desde el último control | desde hace varios meses | desde el feriado | «desde siempre» |
        después de una caída
        """
    ),
    "lesion": _among(
        """
        caries profunda | caries incipiente | caries secundaria | pulpitis irreversible | pulpitis
        reversible | necrosis pulpar | absceso periapical | gingivitis generalizada | periodontitis
        localizada | abrasión cervical | fractura coronaria | atrición | hipoplasia del esmalte |
        pericoronaritis | recesión gingival | fístula activa
        """
    ),
    "material": _among(
        """
        resina A2 | resina A3.5 | ionómero de vidrio | hidróxido de calcio | cemento provisional | amalgama
        | MTA | resina fluida | óxido de zinc y eugenol | cerámica feldespática | circonio | fibra de vidrio
        | gutapercha
        """
    ),
    "anestesia": _among(
        """
        lidocaína al 2 % | mepivacaína al 3 % | articaína al 4 % | anestesia tópica | lidocaína con
        epinefrina 1:100.000 | bloqueo del dentario inferior | anestesia infiltrativa
        """
    ),
    "remedio": _among(
        """
        amoxicilina 500 mg | ibuprofeno 400 mg | paracetamol 1 g | clindamicina 300 mg | ketorolaco 10 mg |
        amoxicilina + ácido clavulánico 875/125 mg | azitromicina 500 mg | diclofenaco 50 mg | enjuague de
        clorhexidina al 0,12 % | dexametasona 4 mg | metronidazol 500 mg
        """
    ),
    "cada": _among(
        """
        cada 6 horas | cada 8 horas | cada 12 horas | una vez al día | solo si hay dolor
        """
    ),
    "dias": [f"{days} días" for days in (2, 3, 5, 7, 10, 14, 21)],
    "plazo": _among(
        """
        en una semana | en 15 días | en un mes | en tres meses | a los seis meses | mañana a primera hora
        """
    ),
    "quien": _among(
        """
        el paciente | la paciente | la madre | el padre | un familiar | la abuela | su esposa | su hijo
        """
    ),
    "indica": _among(
        """
        indica | recomienda | sugiere | explica | refuerza | pide
        """
    ),
    "cuidado": _among(
        """
        técnica de cepillado | uso de hilo dental | dieta blanda | evitar alimentos duros | hielo local | no
        enjuagarse | férula nocturna | control de placa | dejar el cigarrillo | reposo | cepillo interdental
        | no masticar de ese lado
        """
    ),
    "estudio": _among(
        """
        radiografía periapical | radiografía panorámica | tomografía | hemograma y glucemia | tiempo de
        coagulación | interconsulta con cardiología | modelos de estudio | fotografías clínicas | sondaje
        periodontal
        """
    ),
    "animo": _among(
        """
        tranquilo | ansiosa | colaborador | con mucho miedo | poco colaboradora | apurado | agradecida
        """
    ),
    "mm": [f"{tenths // 10},{tenths % 10} mm" for tenths in range(5, 220)],
    "presion": [f"{high}/{low}" for high in range(95, 165, 2) for low in range(55, 99, 3)],
    "pulso": [str(beats) for beats in range(54, 118)],
    "grados": [f"{tenths // 10},{tenths % 10} °C" for tenths in range(358, 392)],
    "bs": [f"Bs {amount}" for amount in range(20, 3000, 5)],
    "hora": [f"{hour}:{minute:02}" for hour in range(8, 20) for minute in range(0, 60, 5)],
    "pct": [f"{percent} %" for percent in range(1, 100)],
    "pocos": [str(number) for number in range(1, 10)],
    "minutos": [str(number) for number in range(10, 60)],
    "num": [str(number) for number in range(1, 1000)],
    "lote": [f"{letter}{number}" for letter in "ABCDEFGHKLMNPRSTX" for number in range(1003, 9999, 37)],
    "nombre": [f"{name} {surname}" for name in (*WOMEN, *MEN) for surname in SURNAMES],
    "servicio": [name.lower() for name, _, _ in SERVICES],
    "limas": [f"n.º {size}" for size in (15, 20, 25, 30, 35, 40, 45, 50, 55, 60)],
}

_SENTENCES: Final = """\
Acude por {sintoma} en la pieza {pieza} {tiempo}.
Refiere {sintoma} y {sintoma} {tiempo}, sin fiebre.
Trae placa {lote} tomada en otro centro; se ve {lesion} en {pieza} y {pieza}.
Se observa {lesion} en cara {cara} de {pieza}, de unos {mm}.
Al examen: {lesion} en {pieza}; resto sin particularidad.
PA {presion}, FC {pulso}, T {grados}. Paciente {animo}.
Signos vitales: {presion} mmHg, {pulso} lpm; {quien} refiere estar en ayunas.
Bajo {anestesia} se retira caries de {pieza}, cara {cara}, y se obtura con {material}.
Anestesia: {anestesia}, aguja de {mm}, lote {lote}.
Conductometría de {pieza}: {mm} (MV), {mm} (DV), {mm} (P); limas hasta {limas}.
Se instrumenta {pieza} hasta lima {limas}, irrigación con hipoclorito y medicación con {material}.
Se obtura el conducto de {pieza} con {material}, longitud {mm}, control radiográfico correcto.
Exodoncia de {pieza} sin complicaciones; sutura con {pocos} puntos; hemostasia a las {hora}.
Sondaje: {pieza} {mm}, {pieza} {mm}, {pieza} {mm}; sangrado al sondaje {pct}.
Receta: {remedio} {cada} por {dias}.
Receta: {remedio} {cada} por {dias}, y {remedio} {cada}. Se advierte de la alergia.
Se {indica} {cuidado}.
Consulta {quien} el precio de {servicio}: se le informan {bs}, con {bs} a cuenta.
Paga {bs} en efectivo y queda debiendo {bs}; avisa {nombre}.
Viene acompañado por {nombre} ({quien}), teléfono 7{num}{num}.
Derivado por la Dra. {nombre}; se solicita {estudio}.
Se solicita {estudio} y se cita {plazo}.
Próximo control {plazo}, a las {hora}, con {nombre}.
No acudió a la cita de las {hora}; se reprograma {plazo}.
Llegó {minutos} minutos tarde; se atiende igual, a las {hora}.
Se toma color {material} y se envía la prueba al laboratorio de {nombre}, orden {num}-{num}.
Prueba de {servicio}: ajuste de {mm} en {cara}; se rebaja y se pule.
Se cementa la corona de {pieza} con {material}; contacto {cara} ajustado.
Cambio de arco a calibre {minutos}, ligaduras nuevas en {pieza} y {pieza}; cadena de {pieza} a {pieza}.
Bracket de {pieza} despegado {tiempo}; se vuelve a cementar con {material}.
Índice de O'Leary: {pct}; se {indica} {cuidado} y {cuidado}.
Paciente {animo}; se interrumpe la sesión a las {hora} y se continuará {plazo}.
Antecedente familiar: {quien} con {lesion}; se registra.
Niega alergias; toma {remedio} {cada} por indicación de {nombre}.
Se explica el plan: {servicio}, luego {servicio}; {quien} acepta verbalmente.
Pide {quien} factura a nombre de {nombre}, NIT {num}{num}.
Presupuesto entregado por {bs}; acepta pagar en {pocos} cuotas.
Evolución favorable: sin {sintoma}, herida limpia; retiro de puntos {plazo}.
Persiste {sintoma} en {pieza} pese a {remedio}; se cambia a {remedio} {cada}.
Sin cambios respecto del control anterior; se {indica} {cuidado}.
Se aplica flúor en {pocos} superficies; {quien} colabora.
Implante en {pieza}: diámetro {mm}, longitud {mm}, torque {minutos} N·cm, lote {lote}.
Movilidad en {pieza}, de {mm}; se ferulizan {pieza}, {pieza} y {pieza}.
Radiografía {num}: imagen radiolúcida en ápice de {pieza}, {mm} por {mm}.
"""

ACTIONS: Final = (
    ("INICIAR_SESION", "usuario", "Inició sesión desde el panel de la clínica"),
    ("CERRAR_SESION", "usuario", "Cerró sesión"),
    ("LISTAR", "paciente", "Consultó la lista de pacientes con el filtro «apellido»"),
    ("LISTAR", "consulta", "Consultó la agenda del día"),
    ("EXPORTAR", "factura", "Exportó las facturas del mes a una hoja de cálculo"),
    ("ACTUALIZAR", "usuario", "Actualizó sus preferencias de notificación"),
    ("VER", "historialclinico", "Abrió el historial clínico de un paciente"),
    ("RECUPERAR_CLAVE", "usuario", "Pidió un enlace para recuperar la contraseña"),
)

_CHROME: Final = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.{b}.{p}"
_AGENTS: Final = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 13; SM-A{{p}}) {_CHROME} Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{p} like Mac OS X) AppleWebKit/605.1.15 Mobile/15E{p}",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0",
    "okhttp/4.{p} (ClinicaMovil {v}.{p}; es-BO)",
)

Template = tuple[str | list[str], ...]


def _template(sentence: str) -> Template:
    parts: list[str | list[str]] = []
    for index, part in enumerate(re.split(r"\{(\w+)\}", sentence)):
        parts.append(_WORDS[part] if index % 2 else part)
    return tuple(parts)


_TEMPLATES: Final = tuple(_template(sentence) for sentence in _SENTENCES.splitlines())

# One note in so many carries a text of AWKWARD; one sentence in so many has a slip of the keyboard.
AWKWARD_EVERY = 20
SLIP_EVERY = 6


class Wording:
    """Sentences and notes of one clinic, drawn from one `Random`."""

    def __init__(self, source: Random) -> None:
        self._random = source.random
        self._bits = source.getrandbits
        self._awkward = cycle(AWKWARD)
        self._notes = 0

    def sentence(self) -> str:
        """One clinical sentence, sometimes with a slip in it."""
        random = self._random
        template = _TEMPLATES[int(random() * len(_TEMPLATES))]
        text = "".join([part if isinstance(part, str) else part[int(random() * len(part))] for part in template])
        if random() * SLIP_EVERY < 1:
            at = int(random() * (len(text) - 1))
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        return text

    def note(self, sentences: int) -> str:
        """A clinical note of about so many sentences; the first and then one in AWKWARD_EVERY is awkward."""
        text = " ".join([self.sentence() for _ in range(sentences)])
        self._notes += 1
        if self._notes % AWKWARD_EVERY == 1:
            return f"{next(self._awkward)} {text}"
        return text

    def person(self) -> tuple[str, str, str]:
        """Given name, surnames, and F or M."""
        random = self._random
        woman = random() < 0.5
        names = WOMEN if woman else MEN
        first, second = (SURNAMES[int(random() * len(SURNAMES))] for _ in range(2))
        return names[int(random() * len(names))], f"{first} {second}", "F" if woman else "M"

    def address(self) -> str:
        """Street, number, district, and now and then how to find the door."""
        random = self._random
        street = STREETS[int(random() * len(STREETS))]
        district = DISTRICTS[int(random() * len(DISTRICTS))]
        number = int(random() * 2900) + 12
        door = (
            "",
            f", edificio «{SURNAMES[int(random() * len(SURNAMES))]}», piso {number % 14}",
            ", frente a la plaza",
        )
        return f"{street} n.º {number}, {district}{door[int(random() * 3)]}"

    def agent(self) -> str:
        """A browser's or the mobile application's name for itself."""
        random = self._random
        agent = _AGENTS[int(random() * len(_AGENTS))]
        return agent.format(v=100 + int(random() * 40), b=4000 + int(random() * 2600), p=10 + int(random() * 190))

    def phone(self) -> str:
        """A Bolivian mobile number."""
        return f"+591 {60_000_000 + int(self._random() * 19_999_999)}"

    def ip_address(self) -> str:
        """Where a browser is: mostly IPv4."""
        bits = self._bits(64)
        if bits % 8 == 0:
            return f"2800:cd0:{bits >> 48:x}:{bits >> 32 & 65535:x}::{bits >> 16 & 65535:x}"
        return f"{181 + (bits >> 16 & 15)}.{bits >> 40 & 255}.{bits >> 48 & 255}.{bits >> 56}"


def ascii_login(name: str) -> str:
    """A name as it stands in an e-mail address: small letters, no accents, no spaces."""
    return name.lower().translate(_PLAIN)


_PLAIN: Final = str.maketrans("áéíóúñü", "aeiounu", " '")
