"""Eight layered documents of our own, of the kinds people bring, whose layers are known: drawn, always the same."""

import math

import numpy as np
from PIL import Image
from quality_art import Art, Sheet, curve, noise, ring, rows, tones

__all__ = ["DOCUMENTS", "draw"]


def draw(name: str, scale: float = 1.0) -> list[tuple[str, np.ndarray]]:
    """Name and full-canvas RGBA of every layer of one of DOCUMENTS, bottom first; `scale` 1 is the size that is shown.

    Shadows belong to the layer of their thing, and what other layers hide is drawn whole.
    """
    return DOCUMENTS[name](scale).layers()


def product(scale: float) -> Art:
    """A card that sells a bottle: arch, podium, bottle, words, price, button."""
    art = Art(820, 1024, scale)
    art.ground(["#fdf3ea", "#f6d9c6"], turn=20)
    arch = art.sheet("arch")
    floor = art.box(0, 0, 820, 925)
    arch.put(art.box(392, 300, 756, 1200, 182), ["#efb397", "#d98a6b"], inside=floor)
    podium = art.sheet("podium")
    podium.put(art.oval(574, 950, 250, 34), "#6b2f1c", 0.4, soft=14)
    podium.put(art.shape([(364, 872), (784, 872), (784, 940), (364, 940)]), ["#e7b9a0", "#f9e3d5", "#c98d70"], turn=90)
    podium.put(art.oval(574, 940, 210, 30), ["#e7b9a0", "#f9e3d5", "#c98d70"], turn=90)
    podium.put(art.oval(574, 872, 210, 30), ["#fbeadf", "#f2cfba"])
    bottle = art.sheet("bottle")
    bottle.put(art.oval(598, 880, 128, 16), "#5a2410", 0.55, soft=9)
    glass = art.box(476, 574, 672, 884, 30)
    glass.paste(255, (0, 0), art.box(476, 560, 672, 760, 66))
    bottle.put(glass, ["#5b2409", "#a9541b", "#e8a154", "#c9752f", "#9a4b19", "#4c1c07"], turn=90)
    bottle.put(art.box(492, 626, 502, 850, 5), "#ffe6bd", 0.75, soft=2)
    bottle.put(art.box(652, 636, 658, 850, 3), "#ffcf92", 0.5, soft=2)
    bottle.put(art.box(476, 650, 672, 824), ["#d9cbbd", "#fffaf3", "#fffdf8", "#e9dccf", "#bfae9e"], turn=90)
    bottle.put(art.words("AUREA", 574, 710, 34, 0.8, "ms", space=7), "#4b2a1b")
    bottle.put(art.box(534, 730, 614, 732), "#c98d70")
    bottle.put(art.words("vitamin c serum", 574, 764, 18, 0, "ms"), "#7a5543")
    bottle.put(art.words("30 ml", 574, 792, 16, 0, "ms"), "#7a5543")
    bottle.put(art.box(530, 490, 618, 556, 8), ["#1b1410", "#6e5d52", "#3a2c25", "#120c09"], turn=90)
    for x in range(536, 616, 8):
        bottle.put(art.box(x, 494, x + 2, 552), "#0c0705", 0.5)
    bulb = art.shape([(548, 492), (542, 440), (552, 398), (574, 384), (596, 398), (606, 440), (600, 492)], True)
    bottle.put(bulb, ["#241a15", "#8a776a", "#4b3a31", "#1a110d"], turn=90)
    words = art.sheet("headline")
    words.put(art.words("Glow,", 60, 158, 116, 2.6), "#5a2614")
    words.put(art.words("bottled.", 60, 266, 116, 2.6), "#5a2614")
    words.put(art.words("Wake up your skin with", 64, 336, 29), "#8b5a45")
    words.put(art.words("fifteen drops of sun.", 64, 374, 29), "#8b5a45")
    badge = art.sheet("price")
    badge.put(art.shape(ring(246, 610, 124, 40, 14)), ["#2f7d6d", "#1f5d55"])
    badge.put(art.words("only", 246, 572, 30, 0, "ms"), "#d6f0e4")
    badge.put(art.words("$24", 246, 644, 78, 2, "ms"), "#ffffff")
    badge.put(art.words("until Sunday", 246, 676, 19, 0, "ms"), "#d6f0e4")
    badge.shadow(8, 10, 0.35, "#3b1a0e")
    button = art.sheet("button")
    button.put(art.box(60, 884, 324, 960, 38), ["#6d3019", "#512110"])
    button.put(art.words("Shop now", 172, 933, 32, 0.7, "ms"), "#fff3e6")
    button.put(art.line([(256, 914), (266, 922), (256, 930)], 4, False), "#fff3e6")
    button.shadow(8, 10, 0.35, "#3b1a0e")
    return art


def app(scale: float) -> Art:
    """A screenshot: window, sidebar, cards, chart, people, button, on a wallpaper."""
    art = Art(1024, 720, scale)
    wall = art.ground(["#4b3fd1", "#a05be0", "#f58fb0"], turn=60)
    wall.put(art.oval(900, 120, 330), "#ffd0a6", 0.45, soft=70)
    wall.put(art.oval(80, 700, 300), "#2fc6e8", 0.45, soft=70)
    window = art.sheet("window")
    window.put(art.box(56, 44, 968, 676, 18), "#f6f7fb")
    window.put(art.words("Good morning, Mara", 300, 118, 32, 0.7), "#1e2340")
    window.put(art.words("Here is what happened while you were away.", 300, 148, 17), "#7b819c")
    window.shadow(18, 24, 0.45, "#160a3c")
    side = art.sheet("sidebar")
    side.put(art.box(56, 44, 296, 676, 18), ["#232848", "#181b33"], inside=art.box(0, 0, 264, 720))
    for x, colour in ((84, "#ff5f57"), (106, "#febc2e"), (128, "#28c840")):
        side.put(art.oval(x, 70, 7), colour)
    side.put(art.box(80, 108, 112, 140, 10), ["#8b7bff", "#5fd0ff"], turn=45)
    side.put(art.words("Tidewater", 124, 133, 24, 0.5), "#ffffff")
    side.put(art.box(72, 172, 248, 216, 12), "#5b54e8")
    for row, word in enumerate(("Overview", "Reports", "Customers", "Invoices", "Settings")):
        y, tone = 194 + 52 * row, "#ffffff" if row == 0 else "#a8aecb"
        side.put(art.box(88, y - 8, 104, y + 8, 5), tone)
        side.put(art.words(word, 120, y + 6, 18), tone)
    side.put(art.oval(98, 636, 20), ["#ffc38a", "#f0806a"])
    side.put(art.words("Mara Lind", 130, 634, 17, 0.3), "#ffffff")
    side.put(art.words("Administrator", 130, 654, 14), "#8d94b5")
    cards = art.sheet("figures")
    facts = (("Income", "$48,210", "+12 %", "#1fa672"), ("Orders", "1,384", "+8 %", "#1fa672"))
    for i, (word, figure, change, tone) in enumerate((*facts, ("Returns", "27", "-3 %", "#e2574c"))):
        x = 300 + 216 * i
        cards.put(art.box(x, 176, x + 200, 286, 14), "#ffffff")
        cards.put(art.words(word, x + 20, 208, 16), "#7b819c")
        cards.put(art.words(figure, x + 20, 250, 34, 0.7), "#1e2340")
        cards.put(art.words(change, x + 180, 208, 16, 0.4, "rs"), tone)
    cards.shadow(4, 8, 0.16, "#262a55")
    chart = art.sheet("chart")
    chart.put(art.box(300, 306, 724, 644, 14), "#ffffff")
    chart.put(art.words("Visitors", 322, 344, 20, 0.5), "#1e2340")
    for y in (390, 440, 490, 540, 590):
        chart.put(art.box(322, y, 702, y + 1), "#e6e8f2")
    heights = [560, 520, 536, 470, 492, 430, 452, 392]
    points = [(330 + 52 * i, y) for i, y in enumerate(heights)]
    area = art.shape([*map(tuple, curve(points)), (694, 590), (330, 590)])
    chart.put(area, ["#b3aefc", "#f1f0ff"], 0.85)
    chart.put(art.line(points, 4), "#5b54e8")
    chart.put(art.oval(694, 392, 8), "#5b54e8")
    chart.put(art.oval(694, 392, 4), "#ffffff")
    for i, day in enumerate("MTWTFSSM"):
        chart.put(art.words(day, 330 + 52 * i, 618, 15, 0, "ms"), "#9aa0ba")
    chart.shadow(4, 8, 0.16, "#262a55")
    people = art.sheet("people")
    people.put(art.box(740, 306, 932, 568, 14), "#ffffff")
    people.put(art.words("Team", 762, 344, 20, 0.5), "#1e2340")
    team = (("Ana", "#ff9a76", "#ef476f"), ("Ben", "#7bdff2", "#3a86ff"), ("Chloe", "#c8f169", "#2ba84a"))
    for i, (word, top, foot) in enumerate((*team, ("Dev", "#ffd166", "#f4811f"))):
        y = 384 + 48 * i
        people.put(art.oval(780, y, 18), [top, foot])
        people.put(art.words(word[0], 780, y + 7, 19, 0.4, "ms"), "#ffffff")
        people.put(art.words(word, 810, y + 6, 18), "#3a4063")
        people.put(art.oval(908, y, 5), "#28c840" if i != 2 else "#c9cede")
    people.shadow(4, 8, 0.16, "#262a55")
    button = art.sheet("button")
    button.put(art.box(740, 588, 932, 644, 14), ["#6d66f5", "#4f48d8"])
    button.put(art.words("+ New report", 836, 623, 20, 0.5, "ms"), "#ffffff")
    button.shadow(6, 9, 0.4, "#3a34b0")
    return art


def outing(scale: float) -> Art:
    """A cartoon: a walker who waves, a tree, hills, clouds and the sun."""
    art = Art(1024, 768, scale)
    art.ground(["#5fb7e5", "#a9dcf0", "#fdeecb"])
    sun = art.sheet("sun")
    sun.put(art.oval(820, 150, 130), "#fff0a8", 0.6, soft=34)
    sun.put(art.oval(820, 150, 74), ["#fff3b0", "#ffd04f"])
    clouds = art.sheet("clouds")
    for x, y, size in ((180, 150, 1.0), (560, 90, 0.7), (900, 262, 0.8)):
        puffs = ((-78, 14, 42, 30), (-30, -14, 56, 46), (34, -4, 50, 40), (82, 16, 40, 28), (0, 22, 100, 26))
        whole = Image.new("L", art.size)
        for dx, dy, across, down in puffs:
            part = art.oval(x + dx * size, y + dy * size, across * size, down * size)
            whole.paste(255, (0, 0), part)
        clouds.put(whole, ["#ffffff", "#ffffff", "#dcebf5"])
    hills = art.sheet("hills")
    for y, rise, wave, phase, paint in (
        (440, 60, 1.3, 0.4, ["#8cc7a5", "#6fb48f"]),
        (540, 52, 1.0, 2.4, ["#5fae70", "#3f8f58"]),
        (650, 30, 0.8, 4.6, ["#8fce5a", "#4f9d45"]),
    ):
        x = np.linspace(-10, 1034, 160)
        line = y + rise * np.sin(x / 1024 * math.tau * wave + phase)
        hills.put(art.shape([*zip(x, line, strict=True), (1034, 780), (-10, 780)]), paint)
    tree = art.sheet("tree")
    tree.put(art.oval(700, 690, 150, 18), "#1d4d2c", 0.4, soft=10)
    trunk = [(668, 694), (680, 600), (676, 480), (640, 410), (668, 400), (700, 450), (730, 390), (756, 402)]
    tree.put(art.shape([*trunk, (724, 490), (722, 600), (744, 694)]), ["#8a5a3c", "#5d3a28"], turn=90)
    crown = ((600, 330, 88), (690, 250, 110), (790, 320, 96), (700, 370, 100), (640, 400, 66), (762, 400, 66))
    for x, y, radius in crown:
        tree.put(art.oval(x, y + 8, radius), "#2f7d4a")
    for x, y, radius in crown:
        tree.put(art.oval(x - 8, y - 10, radius * 0.86), ["#58b368", "#3c9457"])
    for x, y in ((660, 230), (760, 300), (600, 330), (704, 360), (742, 238), (640, 392)):
        tree.put(art.oval(x, y, 10, 11), ["#ff7b5c", "#d93f3a"])
    walker = art.sheet("walker")
    walker.put(art.oval(392, 716, 104, 13), "#1d4d2c", 0.5, soft=8)
    walker.put(art.box(294, 416, 372, 578, 28), ["#f0b23e", "#cf8420"])
    walker.put(art.box(286, 500, 340, 566, 18), "#b86f17")
    for x, way in ((372, -4), (420, 6)):
        walker.put(art.line([(x, 560), (x + way, 690)], 44), ["#3a5585", "#2b3f66"])
        walker.put(art.box(x + way - 26, 676, x + way + 40, 716, 15), "#6d3f26")
        walker.put(art.box(x + way - 26, 706, x + way + 40, 718, 6), "#f3e6d0")
    walker.put(art.oval(394, 342, 66, 70), "#4a2a2f")
    walker.put(art.line([(344, 350), (332, 400), (346, 452)], 34), "#4a2a2f")
    walker.put(art.line([(396, 380), (396, 430)], 34), "#d99a72")
    walker.put(art.line([(452, 450), (506, 440), (540, 362)], 38), ["#e8614d", "#c9463a"])
    walker.put(art.oval(545, 338, 22, 24), "#f2bd95")
    body = art.shape(
        [(346, 430), (396, 420), (446, 430), (462, 500), (466, 588), (396, 600), (328, 588), (334, 500)], True
    )
    walker.put(body, ["#e8614d", "#c9463a"])
    walker.put(art.box(394, 440, 398, 594), "#a8342c")
    walker.put(art.line([(364, 432), (356, 500), (360, 560)], 13), "#8b4d17")
    walker.put(art.line([(350, 452), (318, 510), (352, 566)], 36), ["#dd5846", "#b93d33"])
    walker.put(art.oval(360, 572, 20), "#f2bd95")
    walker.put(art.box(350, 412, 444, 446, 17), ["#ffe08a", "#f4c04a"])
    walker.put(art.oval(402, 352, 52, 58), ["#f8caa4", "#efb48a"])
    walker.put(
        art.shape([(342, 352), (346, 300), (400, 276), (452, 304), (458, 346), (428, 318), (380, 322)], True), "#4a2a2f"
    )
    for x in (388, 426):
        walker.put(art.oval(x, 356, 5, 7), "#2b1a1e")
        walker.put(art.oval(x + (13 if x > 400 else -13), 374, 10, 7), "#f08a76", 0.6, soft=2)
    walker.put(art.line([(394, 380), (408, 388), (422, 380)], 4), "#8f3b33")
    return art


def poster(scale: float) -> Art:
    """A concert: large lettering behind a singer, on a grainy ground."""
    art = Art(760, 1024, scale, seed=4)
    colours = rows(art.size, ["#1b1140", "#5a1e6c", "#c23a6b", "#f7894f"]).astype(float)
    grain = 16 * noise(art.rng, art.size, 6)[..., None] + art.rng.normal(0, 9, (*art.size[::-1], 1))
    art.ground(np.clip(colours + grain, 0, 255).astype(np.uint8))
    disc = art.sheet("disc")
    disc.put(art.oval(380, 596, 318), ["#ffc15a", "#ff8a5c", "#f2466f"])
    title = art.sheet("title")
    title.put(art.words("NIGHT", 380, 176, 178, 5, "ms", space=14), "#fff1d6")
    title.put(art.words("WAVES", 380, 336, 178, 5, "ms", space=4), "#fff1d6")
    singer = art.sheet("singer")
    hair = Image.new("L", art.size)
    for i, (x, y) in enumerate(ring(380, 520, 160, 22)):
        hair.paste(255, (0, 0), art.oval(x, y, 54 + 7 * (i % 3)))
    hair.paste(255, (0, 0), art.oval(380, 520, 168))
    singer.put(hair, ["#3b1d4f", "#1f0f33"])
    for x, y in ring(372, 505, 128, 16):
        singer.put(art.oval(x, y, 40), "#57306e", 0.35, soft=12)
    coat = [(70, 1060), (96, 900), (210, 828), (310, 800), (380, 824), (450, 800), (550, 828), (664, 900), (690, 1060)]
    singer.put(art.shape(coat, True), ["#1fa39a", "#0d5f66"])
    singer.put(art.shape([(322, 700), (438, 700), (444, 806), (380, 856), (316, 806)]), ["#8a4a36", "#b06a4a"])
    singer.put(
        art.shape([(300, 786), (380, 872), (460, 786), (500, 836), (392, 990), (368, 990), (260, 836)]), "#0a474e"
    )
    face = [(272, 560), (284, 470), (380, 432), (476, 470), (488, 560), (464, 664), (380, 738), (296, 664)]
    whole = singer.put(art.shape(face, True), ["#c98058", "#b4693f"])
    singer.put(art.oval(300, 640, 74, 150), "#7d3f2b", 0.4, soft=22, inside=whole)
    singer.put(art.line([(382, 560), (394, 616), (368, 624)], 6), "#8a4630")
    singer.put(art.shape([(338, 668), (366, 658), (380, 664), (394, 658), (422, 668), (380, 694)], True), "#8e2c48")
    singer.put(art.line([(338, 669), (380, 674), (422, 669)], 3), "#5c1730")
    for x in (324, 436):
        singer.put(art.box(x - 58, 514, x + 58, 586, 30), "#140a24")
        singer.put(art.box(x - 50, 521, x + 50, 579, 25), ["#ffcf5a", "#f2466f", "#4a2a8a"])
        singer.put(art.line([(x - 30, 566), (x - 6, 532)], 6), "#ffffff", 0.6)
    singer.put(art.box(372, 532, 388, 542), "#140a24")
    band = [(236, 560), (226, 420), (290, 318), (380, 288), (470, 318), (534, 420), (524, 560)]
    singer.put(art.line(band, 20), ["#2ec4b6", "#168a86"])
    for x in (238, 522):
        singer.put(art.box(x - 30, 520, x + 30, 636, 26), ["#2ec4b6", "#12736f"])
        singer.put(art.box(x - 17, 538, x + 17, 618, 16), "#fff1d6")
    facts = art.sheet("date")
    facts.put(art.box(60, 900, 700, 984, 8), "#fff1d6")
    facts.put(art.words("SAT 14 JUNE", 88, 954, 34, 1.2, space=2), "#3b1348")
    facts.put(art.words("Harbour Hall  ·  9 pm", 672, 953, 31, 0.3, "rs"), "#c23a6b")
    facts.shadow(8, 12, 0.5, "#12061f")
    return art


def slide(scale: float) -> Art:
    """A slide: title, bars, legend, a note."""
    art = Art(1024, 576, scale)
    ground = art.ground("#fbfaf7")
    ground.put(art.box(0, 0, 14, 576), "#e4572e")
    ground.put(art.words("Harvest report  ·  page 7", 980, 552, 14, 0, "rs"), "#a5a29a")
    title = art.sheet("title")
    title.put(art.words("Rooftop honey is taking off", 56, 82, 44, 1.1), "#22303c")
    title.put(art.words("Kilograms collected per quarter", 58, 118, 21), "#6f7a83")
    axes = art.sheet("axes")
    for i in range(6):
        y = 480 - 62 * i
        axes.put(art.box(104, y, 690, y + (2 if i == 0 else 1)), "#22303c" if i == 0 else "#d9d6cd")
        axes.put(art.words(str(20 * i), 92, y + 6, 17, 0, "rs"), "#6f7a83")
    for i in range(4):
        axes.put(art.words(f"Q{i + 1}", 182 + 144 * i, 510, 20, 0.3, "ms"), "#22303c")
    bars = art.sheet("bars")
    colours = (["#f4b942", "#e89f1f"], ["#4f9d8f", "#2f7d72"], ["#e4572e", "#c23f1a"])
    for i, values in enumerate(((32, 24, 18), (48, 41, 30), (88, 66, 52), (61, 74, 90))):
        for j, value in enumerate(values):
            x = 128 + 144 * i + 37 * j
            bars.put(art.box(x, 480 - 3.1 * value, x + 33, 486, 5), colours[j], inside=art.box(0, 0, 1024, 480))
    legend = art.sheet("legend")
    for j, word in enumerate(("Old town", "Harbour", "Campus")):
        legend.put(art.box(742, 176 + 36 * j, 762, 196 + 36 * j, 5), colours[j])
        legend.put(art.words(word, 774, 193 + 36 * j, 20), "#22303c")
    note = art.sheet("note")
    note.put(art.box(736, 306, 972, 480, 16), ["#2a3b49", "#1d2a35"])
    note.put(art.words("+400 %", 760, 368, 52, 1.2), "#f4b942")
    note.put(art.words("Campus hives grew", 760, 410, 19), "#ffffff")
    note.put(art.words("fivefold since spring.", 760, 436, 19), "#ffffff")
    note.shadow(8, 12, 0.3, "#10181f")
    return art


def emblem(scale: float) -> Art:
    """A badge: lettering around a scene, a ribbon across, on flat colour."""
    art = Art(840, 840, scale)
    art.ground("#f3ead7")
    badge = art.sheet("badge")
    badge.put(art.shape(ring(420, 410, 352, 96, 12)), "#1f4d45")
    badge.put(art.oval(420, 410, 326), "#f3ead7")
    badge.put(art.oval(420, 410, 318), "#1f4d45")
    scene = art.sheet("scene")
    view = scene.put(art.oval(420, 410, 222), ["#f6c667", "#f08a5d", "#d95d4e"])
    scene.put(art.oval(420, 352, 72), "#fff1cf", inside=view)
    far = [(180, 520), (300, 352), (352, 410), (452, 270), (560, 420), (600, 380), (680, 520)]
    scene.put(art.shape([*far, (680, 640), (180, 640)]), ["#7a4b63", "#4f3655"], inside=view)
    scene.put(
        art.shape([(452, 270), (494, 328), (470, 348), (454, 330), (436, 356), (414, 323)]), "#fff1cf", inside=view
    )
    scene.put(art.shape([(300, 352), (326, 381), (306, 396), (294, 380), (276, 386)]), "#fff1cf", inside=view)
    for x, y, size in (
        (232, 566, 1.1),
        (290, 580, 0.8),
        (346, 592, 1.0),
        (500, 590, 0.9),
        (562, 580, 1.2),
        (618, 560, 0.9),
    ):
        for step in range(3):
            top, half = y - (132 - 36 * step) * size, (26 + 11 * step) * size
            scene.put(
                art.shape([(x, top), (x + half, top + 62 * size), (x - half, top + 62 * size)]), "#173b36", inside=view
            )
    scene.put(art.oval(420, 720, 330, 160), "#173b36", inside=view)
    words = art.sheet("lettering")
    words.put(art.round_words("NORTH RIDGE", 420, 410, 268, 60, 1.8), "#f3ead7")
    words.put(art.round_words("FOREST RANGERS", 420, 410, 270, 36, 1, below=True), "#f6c667")
    for x in (152, 688):
        words.put(art.shape(ring(x, 392, 19, 10, 11)), "#f6c667")
    ribbon = art.sheet("ribbon")
    for side in (-1, 1):
        end = [(420 + side * x, y) for x, y in ((250, 536), (384, 520), (352, 562), (384, 610), (250, 612))]
        ribbon.put(art.shape(end), "#8f2f26")
        ribbon.put(art.shape([(420 + side * 288, 590), (420 + side * 250, 590), (420 + side * 250, 612)]), "#5f1a15")
    ribbon.put(art.box(132, 500, 708, 590, 4), ["#d9503f", "#bd3b2e"])
    for y in (509, 579):
        ribbon.put(art.box(140, y, 700, y + 2), "#f3c9a8")
    ribbon.put(art.words("SINCE 1924", 420, 566, 58, 1.6, "ms", space=6), "#fff6e4")
    return art


def collage(scale: float) -> Art:
    """Five photo-like prints that overlap, each with its shadow."""
    art = Art(1024, 768, scale, seed=11)
    colours = (
        tones("#d8cbb8") + 5 * noise(art.rng, art.size, 5)[..., None] + art.rng.normal(0, 2.5, (*art.size[::-1], 1))
    )
    art.ground(np.clip(colours, 0, 255).astype(np.uint8))
    moods = {
        "dawn": (["#5d6db3", "#f2a7a0", "#ffe2b0"], ["#8a7fb0", "#5c5a90", "#34386a"], 0.62),
        "alps": (["#4ea3d8", "#b9e3f2", "#eef7ee"], ["#7fa9b8", "#4c8470", "#22573f"], 0.5),
        "desert": (["#2e7fb8", "#9ad1e3", "#fbe6c0"], ["#e3a56a", "#c8783f", "#93482a"], 0.66),
        "night": (["#0b1338", "#27306e", "#7a5aa0"], ["#2f2f66", "#1b1f4a", "#0b0e28"], 0.4),
        "autumn": (["#9fb8c8", "#e6ddc8", "#fff3d8"], ["#d79a4c", "#b5602c", "#6d3a20"], 0.58),
    }
    places = ((250, 236, 340, 7), (742, 220, 350, -9), (300, 540, 350, -6), (772, 548, 340, 8), (516, 392, 360, -2))
    for (name, mood), (x, y, wide, angle) in zip(moods.items(), places, strict=True):
        sheet = art.sheet(name)
        tall = wide * 0.76
        left, top, right, bottom = x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2
        sheet.put(art.box(left, top, right, bottom + 26, 3), ["#ffffff", "#f4f1ea"])
        _landscape(art, sheet, (left + 16, top + 16, right - 16, bottom - 18), *mood)
        sheet.put(art.words(name, x, bottom + 12, 20, 0, "ms"), "#6c6459")
        sheet.turned(angle, x, y)
        sheet.shadow(9, 11, 0.45, "#2b1f14", right=4)
    return art


def _landscape(art: Art, sheet: Sheet, box: tuple[float, ...], sky: list[str], land: list[str], sun: float) -> None:
    """A view through a box: sky with sun and haze, ridges that darken towards us, grain."""
    left, top, right, bottom = (round(v * art.scale) for v in box)
    size = right - left, bottom - top
    y, x = np.mgrid[: size[1], : size[0]] / size[1]
    view = rows(size, sky).astype(float)
    far = np.hypot(x - sun * size[0] / size[1], y - 0.3)
    glow = np.clip(np.exp(-far * 6) + (far < 0.075), 0, 1)[..., None]
    view += (np.array([255, 246, 220]) - view) * glow * 0.9
    view += 22 * np.clip(noise(art.rng, size, 3, 4), 0, 1)[..., None] * np.clip(1 - y[..., None] * 1.6, 0, 1)
    for depth, colour in enumerate(land):
        ridge = noise(art.rng, (size[0], 2), 4 + depth, 5)[0] * (0.12 - 0.02 * depth) + 0.46 + 0.17 * depth
        inside = np.clip((y - ridge) * size[1], 0, 1)[..., None]
        shade = 1 + 0.2 * noise(art.rng, size, 16, 4)[..., None] - 0.35 * np.clip(y - ridge, 0, 1)[..., None]
        view += (tones(colour) * shade - view) * inside
    view += art.rng.normal(0, 4, view.shape[:2])[..., None]
    whole = np.zeros((*art.size[::-1], 3), np.uint8)
    whole[top:bottom, left:right] = np.clip(view, 0, 255).astype(np.uint8)
    mask = Image.new("L", art.size)
    mask.paste(255, (left, top, right, bottom))
    sheet.put(mask, whole)


def fox(scale: float) -> Art:
    """A cartoon fox on a patterned ground, who says something."""
    art = Art(1000, 860, scale)
    ground = art.ground("#bfe3d5")
    for row in range(-1, 10):
        for column in range(-1, 12):
            x, y = 100 * column + 50 * (row % 2), 100 * row + 40
            if (row + column) % 2:
                ground.put(art.oval(x, y, 13), "#a3d3c2")
            else:
                ground.put(
                    art.shape([(x - 20, y + 20), (x - 12, y - 12), (x + 20, y - 20), (x + 12, y + 12)], True), "#d8f0e6"
                )
    body = art.sheet("fox")
    fur, dark, pale = ["#f39a4b", "#dd6b2c"], "#4a2b2a", "#fff4e4"
    body.put(art.oval(392, 796, 236, 22), "#2f6b5c", 0.45, soft=12)
    tail = [(470, 780), (600, 770), (680, 690), (690, 570), (640, 500), (600, 560), (572, 650), (470, 690)]
    whole = body.put(art.shape(tail, True), ["#e9853a", "#c9571f"])
    body.put(art.oval(652, 520, 76, 74), pale, inside=whole)
    torso = body.put(
        art.shape([(290, 540), (470, 540), (540, 700), (530, 790), (380, 804), (230, 790), (228, 700)], True), fur
    )
    body.put(art.shape([(320, 540), (440, 540), (452, 640), (380, 720), (308, 640)], True), pale)
    for x in (326, 434):
        body.put(art.line([(x, 660), (x, 770)], 62), ["#e9853a", "#dd6b2c", "#dd6b2c"])
        body.put(art.oval(x, 776, 42, 26), dark)
    for side in (-1, 1):
        ear = [(380 + side * dx, y) for dx, y in ((60, 300), (206, 120), (214, 360))]
        body.put(art.shape([*ear]), fur)
        body.put(art.shape([(380 + side * dx, y) for dx, y in ((108, 280), (190, 172), (192, 320))]), dark)
    head = [
        (380, 206),
        (500, 250),
        (606, 400),
        (560, 470),
        (470, 540),
        (380, 590),
        (290, 540),
        (200, 470),
        (154, 400),
        (260, 250),
    ]
    body.put(art.shape([(x, y + 22) for x, y in head], True), "#8f3c14", 0.45, soft=10, inside=torso)
    whole = body.put(art.shape(head, True), fur)
    for side in (-1, 1):
        cheek = [(380 + side * dx, y) for dx, y in ((0, 600), (20, 470), (96, 410), (240, 400), (200, 490), (100, 560))]
        body.put(art.shape(cheek, True), pale, inside=whole)
        x = 380 + side * 92
        body.put(art.oval(x, 388, 21, 27), dark)
        body.put(art.oval(x + 7, 378, 8), "#ffffff")
        body.put(art.line([(x - 24, 338), (x, 328), (x + 24, 338)], 7), "#b04c1c")
        body.put(art.oval(380 + side * 150, 456, 28, 17), "#f59c86", 0.7, soft=5)
    body.put(art.shape([(350, 470), (380, 462), (410, 470), (398, 496), (380, 506), (362, 496)], True), dark)
    body.put(art.line([(380, 502), (380, 520)], 5, False), dark)
    for side in (-1, 1):
        body.put(art.line([(380, 520), (380 + side * 16, 534), (380 + side * 36, 524)], 5), dark)
    bubble = art.sheet("bubble")
    bubble.put(art.oval(772, 170, 200, 122), "#ffffff")
    bubble.put(art.shape([(628, 214), (600, 330), (712, 266)]), "#ffffff")
    bubble.shadow(8, 12, 0.28, "#1f4d45")
    words = art.sheet("words")
    words.put(art.words("Any snacks", 772, 158, 54, 1.2, "ms"), "#2f4a44")
    words.put(art.words("left for me?", 772, 220, 54, 1.2, "ms"), "#2f4a44")
    return art


DOCUMENTS = {
    "product-card": product,
    "app-screen": app,
    "cartoon": outing,
    "concert-poster": poster,
    "slide": slide,
    "emblem": emblem,
    "prints": collage,
    "fox": fox,
}
"""What draws each document, in the order of quality.md."""
