"""The same paragraph in six languages, written here: what no English book should look like."""

TONGUES = {
    "German": (
        "Die moderne Kosmologie beschreibt eine beschleunigte Ausdehnung, in der sich die "
        "Galaxien nach einem linearen Gesetz voneinander entfernen, das vor dem Krieg gefunden "
        "wurde. Die Messungen der Hintergrundstrahlung ergeben heute eine genaue Dichte der "
        "Materie, doch der Widerspruch zu den örtlichen Messungen bleibt ungeklärt. Es ist nicht "
        "sicher, ob er auf einen Fehler in der Leiter der Entfernungen zurückgeht oder auf eine "
        "neue Physik, die wir noch nicht kennen. Wenn man die Zeit vor der Rekombination um "
        "wenige Prozent verkürzt, wird auch der Schallhorizont kleiner, und mit ihm steigt die "
        "Konstante, die aus dem Spektrum folgt."
    ),
    "French": (
        "La cosmologie moderne décrit une expansion accélérée dans laquelle les galaxies "
        "s'éloignent les unes des autres, selon une loi linéaire que Hubble a établie avant la "
        "guerre. Les mesures du fond diffus donnent aujourd'hui une densité de matière précise, "
        "mais leur désaccord avec les mesures locales reste inexpliqué. On ne sait pas si cela "
        "vient d'une erreur dans l'échelle des distances ou d'une physique nouvelle que nous ne "
        "connaissons pas encore. Si l'on réduit de quelques pour cent le temps qui précède la "
        "recombinaison, l'horizon acoustique est lui aussi plus petit, et la constante qui est "
        "déduite du spectre augmente."
    ),
    "Spanish": (
        "La cosmología moderna describe una expansión acelerada en la que las galaxias se alejan "
        "unas de otras, según una ley lineal que fue encontrada antes de la guerra. Las medidas "
        "del fondo de radiación dan hoy una densidad de materia precisa, pero el desacuerdo con "
        "las medidas locales no tiene todavía una explicación. No se sabe si es un error en la "
        "escala de las distancias o una física nueva que aún no conocemos. Cuando se reduce el "
        "tiempo anterior a la recombinación, también el horizonte del sonido es más pequeño, y "
        "con él crece la constante que se deduce del espectro."
    ),
    "Italian": (
        "La cosmologia moderna descrive un'espansione accelerata nella quale le galassie si "
        "allontanano le une dalle altre, secondo una legge lineare che fu trovata prima della "
        "guerra. Le misure della radiazione di fondo danno oggi una densità della materia molto "
        "precisa, ma il disaccordo con le misure locali non è ancora spiegato. Non si sa se "
        "questo sia dovuto a un errore nella scala delle distanze oppure a una fisica nuova che "
        "non conosciamo. Se il tempo prima della ricombinazione è più breve di qualche punto per "
        "cento, anche l'orizzonte del suono diventa più piccolo e la costante che si ricava "
        "dallo spettro aumenta."
    ),
    "Portuguese": (
        "A cosmologia moderna descreve uma expansão acelerada na qual as galáxias se afastam "
        "umas das outras, segundo uma lei linear que foi encontrada antes da guerra. As medidas "
        "da radiação de fundo dão hoje uma densidade de matéria muito precisa, mas o desacordo "
        "com as medidas locais não tem ainda uma explicação. Não se sabe se é um erro na escala "
        "das distâncias ou uma física nova que não conhecemos. Quando o tempo antes da "
        "recombinação é mais curto, também o horizonte do som fica menor, e com ele cresce a "
        "constante que se deduz do espectro."
    ),
    "Dutch": (
        "De moderne kosmologie beschrijft een versnelde uitdijing waarin de sterrenstelsels zich "
        "van elkaar verwijderen, volgens een lineaire wet die voor de oorlog werd gevonden. De "
        "metingen van de achtergrondstraling geven nu een nauwkeurige dichtheid van de materie, "
        "maar het verschil met de plaatselijke metingen is nog niet verklaard. Het is niet zeker "
        "of dit door een fout in de ladder van afstanden komt of door een nieuwe natuurkunde die "
        "wij nog niet kennen. Als de tijd voor de recombinatie korter is, wordt ook de horizon "
        "van het geluid kleiner en neemt de constante toe die uit het spectrum volgt."
    ),
}
