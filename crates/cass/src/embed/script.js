// Shows the image of the point under the pointer, and one class alone while the pointer is over its name.
const rows = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
const all = selector => document.querySelectorAll(selector);

document.addEventListener("pointerover", event => {
  const circle = event.target.closest("circle");
  all(".at").forEach(other => other.classList.remove("at"));
  if (!circle) { tip.style.display = "none"; return; }
  const [file, truth, predicted, picture] = rows[circle.dataset.i];
  all(`circle[data-i="${circle.dataset.i}"]`).forEach(same => same.classList.add("at"));
  const image = new Image();
  image.src = "data:image/jpeg;base64," + picture;
  image.alt = "";
  const lines = [file, "true: " + truth].concat(predicted === null ? [] : ["predicted: " + predicted]);
  tip.replaceChildren(image, ...lines.map(text => {
    const line = document.createElement("div");
    line.textContent = text;
    return line;
  }));
  tip.style.display = "block";
});

document.addEventListener("pointermove", event => {
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const left = event.clientX + 16 + width > innerWidth ? event.clientX - width - 16 : event.clientX + 16;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 12, innerHeight - height - 4)) + "px";
});

all(".legend li").forEach(item => {
  item.onpointerenter = () => {
    document.body.classList.add("dim");
    all("circle." + item.dataset.c).forEach(circle => circle.classList.add("lit"));
  };
  item.onpointerleave = () => {
    document.body.classList.remove("dim");
    all(".lit").forEach(circle => circle.classList.remove("lit"));
  };
});
